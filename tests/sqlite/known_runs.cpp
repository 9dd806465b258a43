// What the writer remembers of runs: those changed lately, and no more than it may.
#include "stores/sqlite/known_runs.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

BOOST_AUTO_TEST_SUITE(sqlite_known_runs)

namespace {

using pawl::sqlite::known_runs;
using pawl::sqlite::stored_run;

pawl::run_id number(std::uint8_t n)
{
    pawl::run_id id;
    id.bytes.fill(n);
    return id;
}

/// The row tells one from another.
stored_run run_in(std::int64_t row)
{
    stored_run run;
    run.row = row;
    return run;
}

std::int64_t row_of(known_runs& all, std::uint8_t n)
{
    const auto* found = all.find(number(n));
    return found ? found->row : 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_is_changed_through_a_find_is_remembered)
{
    known_runs all{4};
    BOOST_TEST(all.find(number(1)) == nullptr);
    all.remember(number(1), run_in(1))->version = 7;
    BOOST_TEST(all.find(number(1))->version == 7u);
    all.find(number(1))->version = 8;
    BOOST_TEST(all.find(number(1))->version == 8u);
}

BOOST_AUTO_TEST_CASE(those_of_long_ago_are_forgotten_and_those_of_late_are_not)
{
    known_runs all{4};
    for (std::uint8_t n = 1; n <= 4; ++n)
        all.remember(number(n), run_in(n));
    BOOST_TEST(row_of(all, 1) == 1); // and so it is one of late
    all.remember(number(5), run_in(5));
    BOOST_TEST(row_of(all, 1) == 1);
    BOOST_TEST(row_of(all, 2) == 0);
    BOOST_TEST(row_of(all, 5) == 5);
}

BOOST_AUTO_TEST_CASE(no_more_are_known_than_may_be)
{
    constexpr std::uint8_t capacity = 10;
    known_runs all{capacity};
    for (std::uint8_t n = 1; n <= 200; ++n) {
        all.remember(number(n), run_in(n));
        BOOST_TEST(row_of(all, n) == n);
        if (n > 1)
            BOOST_TEST(row_of(all, static_cast<std::uint8_t>(n - 1)) == n - 1);
    }
    int known = 0;
    for (std::uint8_t n = 200; n > 0; --n) {
        known_runs as_they_are = all; // a look changes what is known
        known += row_of(as_they_are, n) != 0;
    }
    BOOST_TEST(known >= capacity / 2);
    BOOST_TEST(known <= capacity);
}

BOOST_AUTO_TEST_CASE(one_that_was_forgotten_is_known_anew_as_it_is_then)
{
    known_runs all{4};
    all.remember(number(1), run_in(1));
    all.remember(number(2), run_in(2));
    all.remember(number(3), run_in(3));
    // While its former self stands in the older half.
    all.remember(number(1), run_in(11));
    BOOST_TEST(row_of(all, 1) == 11);
    all.remember(number(4), run_in(4));
    BOOST_TEST(row_of(all, 1) == 11);
    all.forget(number(1));
    BOOST_TEST(row_of(all, 1) == 0);
    all.remember(number(1), run_in(21));
    BOOST_TEST(row_of(all, 1) == 21);
    all.clear();
    for (std::uint8_t n = 1; n <= 4; ++n)
        BOOST_TEST(row_of(all, n) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
