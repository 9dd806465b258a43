// Trace ids and samplers, as functions.
#include "core/run_id.hpp"
#include "core/trace.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <random>

BOOST_AUTO_TEST_SUITE(trace_ids)

namespace {

using namespace std::chrono_literals;

/// Runs that were started one after another, a millisecond apart.
std::vector<pawl::record> many_runs(std::size_t count)
{
    std::mt19937_64 random{1};
    std::vector<pawl::record> runs(count);
    pawl::time_point at{1'700'000'000s};
    for (auto& run : runs) {
        at += 1ms;
        const auto ms = static_cast<std::uint64_t>(at.time_since_epoch() / 1ms);
        for (std::size_t i = 0; i < 6; ++i)
            run.id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
        for (std::size_t i = 6; i < 16; ++i)
            run.id.bytes[i] = static_cast<std::uint8_t>(random());
        run.created_at = run.updated_at = at;
    }
    return runs;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_trace_id_has_no_part_of_the_run_id)
{
    for (const auto& run : many_runs(100)) {
        const auto trace = pawl::run_span(run, {});
        BOOST_TEST(
            !std::equal(trace.trace_id.begin(), trace.trace_id.begin() + 4, run.id.bytes.begin()));
        BOOST_TEST(!std::equal(trace.trace_id.begin() + 8, trace.trace_id.end(),
                               run.id.bytes.begin() + 8));
    }
}

BOOST_AUTO_TEST_CASE(every_byte_of_trace_ids_is_spread)
{
    const auto runs = many_runs(4'096);
    std::array<std::array<int, 2>, 128> bits{};
    for (const auto& run : runs) {
        const auto trace = pawl::run_span(run, {});
        for (std::size_t bit = 0; bit < 128; ++bit)
            ++bits[bit][trace.trace_id[bit / 8] >> (bit % 8) & 1];
    }
    for (const auto& counts : bits)
        BOOST_TEST(counts[1] > 1'848); // 2048 +- 200, six standard deviations
    for (const auto& counts : bits)
        BOOST_TEST(counts[1] < 2'248);
}

BOOST_AUTO_TEST_CASE(a_ratio_samples_its_part_of_the_traces)
{
    const auto runs = many_runs(10'000);
    for (const double ratio : {0.0, 0.25, 1.0}) {
        const pawl::trace_policy policy{.sampler = pawl::trace_sampler::ratio, .ratio = ratio};
        const auto sampled = std::ranges::count_if(
            runs, [&](const auto& run) { return pawl::run_span(run, policy).flags == 1; });
        BOOST_TEST(std::abs(static_cast<double>(sampled) - 10'000 * ratio) <= 200);
    }
}

BOOST_AUTO_TEST_CASE(a_greater_ratio_samples_the_same_traces_and_more)
{
    for (const auto& run : many_runs(1'000)) {
        const auto few = pawl::run_span(run, {.sampler = pawl::trace_sampler::ratio, .ratio = 0.1});
        const auto more =
            pawl::run_span(run, {.sampler = pawl::trace_sampler::ratio, .ratio = 0.2});
        BOOST_TEST(few.flags <= more.flags);
    }
}

BOOST_AUTO_TEST_CASE(the_ratio_is_that_of_other_sdks)
{
    // The last 63 bits, as a fraction, are 0.5.
    const auto trace =
        *pawl::trace_context::parse("00-ffffffffffffffff8000000000000000-00f067aa0ba902b7-00");
    const auto samples = [&](double ratio) {
        return pawl::is_sampled(trace, std::nullopt,
                                {.sampler = pawl::trace_sampler::ratio, .ratio = ratio});
    };
    BOOST_TEST(!samples(0.5));
    BOOST_TEST(samples(0.5000001));
}

BOOST_AUTO_TEST_CASE(an_attempt_that_is_made_again_is_another_span)
{
    const auto run = many_runs(1).front();
    const pawl::core::attempt_identity first{0, 1, 3, run.created_at};
    const auto span_of = [&](pawl::core::attempt_identity attempt) {
        return pawl::core::attempt_span(run, attempt, {}).span;
    };
    BOOST_TEST((span_of(first) == span_of(first)));
    auto other = first;
    other.began_at += 1us;
    BOOST_TEST((span_of(first) != span_of(other)));
    other = first;
    other.version = 4;
    BOOST_TEST((span_of(first) != span_of(other)));
    other = first;
    other.handler = 9;
    BOOST_TEST((span_of(first) != span_of(other)));
}

BOOST_AUTO_TEST_CASE(each_period_of_a_run_is_a_trace)
{
    const auto run = many_runs(1).front();
    const pawl::trace_policy policy{.new_trace_after = 1h};
    const auto placed_at = [&](pawl::duration age) {
        return pawl::core::attempt_span(run, {0, 1, 1, run.created_at + age}, policy);
    };
    const auto start = pawl::run_span(run, policy);
    BOOST_TEST((placed_at(-1s).parent == start)); // the clock was set back
    BOOST_TEST((placed_at(1h - 1us).parent == start));
    const auto later = placed_at(1h);
    BOOST_TEST((later.parent.trace_id != start.trace_id));
    BOOST_TEST((later.parent.span_id == std::array<std::uint8_t, 8>{}));
    BOOST_TEST((later.start == start));
    BOOST_TEST((placed_at(2h - 1us).parent == later.parent));
    BOOST_TEST((placed_at(2h).parent.trace_id != later.parent.trace_id));
    BOOST_TEST(placed_at(2h).span.flags == start.flags);
}

BOOST_AUTO_TEST_CASE(a_new_span_continues_the_trace_of_its_parent)
{
    const auto parent = pawl::make_span(std::nullopt, {});
    BOOST_TEST(parent.flags == 1);
    const auto child = pawl::make_span(parent, {});
    BOOST_TEST((child.trace_id == parent.trace_id));
    BOOST_TEST((child.span_id != parent.span_id));
    const auto off = pawl::make_span(std::nullopt, {.sampler = pawl::trace_sampler::always_off});
    BOOST_TEST(off.flags == 0);
    BOOST_TEST((off.trace_id != parent.trace_id));
}

BOOST_AUTO_TEST_SUITE_END()
