// Leases whose rows another session has locked, and whose ends another clock has set.
#include "postgres/support.hpp"
#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

BOOST_AUTO_TEST_SUITE(postgres_leases)

namespace {

using namespace std::chrono_literals;

/// Lets each lease in the table end so many seconds from now.
void end_in(const std::string& schema, const std::string& table, int seconds)
{
    ask(fmt::format("UPDATE {0}.{1} SET lease_until = {0}.now_us() + {2} * 1000000::bigint", schema,
                    table, seconds));
}

} // namespace

BOOST_AUTO_TEST_CASE(a_shard_is_not_kept_for_a_clock_that_was_ahead)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 1});
    const auto first = finish(store->claim({0}, "a", 1min)).at(0);
    end_in(schema, "leases", 119);
    BOOST_TEST(finish(store->claim({0}, "b", 1s)).empty());
    end_in(schema, "leases", 130);
    const auto next = finish(store->claim({0}, "b", 1h));
    BOOST_REQUIRE(next.size() == 1u);
    BOOST_TEST(next.front().epoch > first.epoch);

    // How long an engine asks for is its own affair.
    BOOST_TEST(finish(store->claim({0}, "c", 1s)).empty());
    // Its owner renews it as if nothing had happened.
    end_in(schema, "leases", 1'000'000);
    const auto renewed = finish(store->claim({0}, "b", 1h));
    BOOST_REQUIRE(renewed.size() == 1u);
    BOOST_TEST(renewed.front().epoch == next.front().epoch);
    BOOST_TEST(finish(store->claim({0}, "c", 1h)).empty());
}

BOOST_AUTO_TEST_CASE(a_role_is_not_kept_for_a_clock_that_was_ahead)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    const auto first = finish(store->claim_role("reports", "a", 1min));
    BOOST_REQUIRE(first);
    end_in(schema, "roles", 119);
    BOOST_TEST(!finish(store->claim_role("reports", "b", 1s)));
    BOOST_TEST(finish(store->roles("rep")).size() == 1u);
    finish(store->forget_roles("rep"));
    BOOST_TEST(finish(store->roles("rep")).size() == 1u);

    end_in(schema, "roles", 130);
    BOOST_TEST(finish(store->roles("rep")).empty());
    const auto next = finish(store->claim_role("reports", "b", 1h));
    BOOST_REQUIRE(next);
    BOOST_TEST(next->epoch > first->epoch);
    BOOST_TEST(!finish(store->claim_role("reports", "a", 1s)));
    end_in(schema, "roles", 1'000'000);
    finish(store->forget_roles("rep"));
    BOOST_TEST(ask("SELECT count(*) FROM " + schema + ".roles") == "0");
}

BOOST_AUTO_TEST_CASE(the_longest_lease_there_is_does_not_lapse)
{
    const auto store = open_fresh({.shards = 1});
    BOOST_TEST(finish(store->claim({0}, "a", pawl::duration::max())).size() == 1u);
    BOOST_TEST(finish(store->claim({0}, "b", 1s)).empty());
    BOOST_TEST(finish(store->claim_role("reports", "a", pawl::duration::max())).has_value());
    BOOST_TEST(!finish(store->claim_role("reports", "b", 1s)));
}

BOOST_AUTO_TEST_CASE(leases_are_renewed_beside_a_locked_one)
{
    const auto schema = fresh_schema();
    const auto store =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .shards = 4});
    const auto held = finish(store->claim({0, 1, 2, 3}, "a", 1h));
    BOOST_TEST(held.size() == 4u);
    session other;
    other.ask("BEGIN");
    other.ask("SELECT 1 FROM " + schema + ".leases WHERE shard = 1 FOR NO KEY UPDATE");
    const auto renewed = finish(store->claim({0, 1, 2, 3}, "a", 1s));
    BOOST_REQUIRE(renewed.size() == 3u);
    for (const auto& each : renewed)
        BOOST_TEST(each.epoch == held.at(each.shard).epoch);
    other.ask("ROLLBACK");
    BOOST_TEST(finish(store->claim({0, 1, 2, 3}, "a", 1h)).size() == 4u);
}

BOOST_AUTO_TEST_SUITE_END()
