// The latency histogram: its error, its edges, and that it counts everything.
#include "histogram.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using pawl_bench::histogram;
using ns = std::chrono::nanoseconds;

BOOST_AUTO_TEST_SUITE(bench_histogram)

BOOST_AUTO_TEST_CASE(of_nothing_every_percentile_is_zero)
{
    const histogram empty;
    BOOST_TEST(empty.count() == 0);
    BOOST_TEST(empty.percentile(50).count() == 0);
    BOOST_TEST(empty.percentile(100).count() == 0);
}

BOOST_AUTO_TEST_CASE(small_values_are_exact)
{
    histogram all;
    for (int i = 0; i < 256; ++i)
        all.record(ns{i});
    BOOST_TEST(all.percentile(50).count() == 127);
    BOOST_TEST(all.percentile(100).count() == 255);
    BOOST_TEST(all.percentile(0).count() == 0);
}

BOOST_AUTO_TEST_CASE(each_value_comes_back_within_the_relative_error)
{
    std::mt19937_64 random{1};
    for (int bits = 1; bits < 63; ++bits)
        for (int i = 0; i < 100; ++i) {
            const auto value = static_cast<std::int64_t>(random() >> (64 - bits));
            histogram one;
            one.record(ns{value});
            one.record(ns{std::numeric_limits<std::int64_t>::max()}); // so that max() hides nothing
            const auto read = one.percentile(50).count();
            BOOST_TEST(read >= value);
            BOOST_TEST(static_cast<double>(read - value) <=
                       static_cast<double>(value) * histogram::relative_error);
        }
}

BOOST_AUTO_TEST_CASE(percentiles_agree_with_sorted_values)
{
    std::mt19937_64 random{2};
    std::lognormal_distribution<double> latency{10, 2};
    histogram all;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 100'000; ++i) {
        values.push_back(static_cast<std::int64_t>(latency(random)));
        all.record(ns{values.back()});
    }
    std::ranges::sort(values);
    for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(1000 * percent)) - 1;
        const auto exact = values[rank];
        const auto read = all.percentile(percent).count();
        BOOST_TEST(read >= exact);
        BOOST_TEST(static_cast<double>(read) <=
                   static_cast<double>(exact) * (1 + histogram::relative_error));
    }
}

BOOST_AUTO_TEST_CASE(the_largest_value_bounds_every_percentile)
{
    histogram all;
    all.record(ns{1'000'000'001});
    BOOST_TEST(all.percentile(100).count() == 1'000'000'001);
    BOOST_TEST(all.max().count() == 1'000'000'001);
}

BOOST_AUTO_TEST_CASE(negative_durations_count_as_zero)
{
    histogram all;
    all.record(ns{-5});
    BOOST_TEST(all.count() == 1);
    BOOST_TEST(all.percentile(100).count() == 0);
}

BOOST_AUTO_TEST_CASE(two_histograms_add_up)
{
    histogram slow;
    slow.record(ns{1'000'000});
    histogram all;
    all.record(ns{100}, 99);
    all.add(slow);
    BOOST_TEST(all.count() == 100);
    BOOST_TEST(all.percentile(99).count() == 100);
    BOOST_TEST(all.percentile(99.5).count() == 1'000'000);
}

BOOST_AUTO_TEST_SUITE_END()
