// Role schedulers on one store, on time that a check moves, for its check of the contract.
#pragma once

#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/testing/manual_clock.hpp"
#include "pawl/testing/role_conformance.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace role_test {

using boost::asio::awaitable;
using pawl::testing::manual_clock;
using pawl::testing::role_fixture;

inline constexpr pawl::duration lease = std::chrono::seconds{12};

/// Counts what is under way, and can be cut off from the store behind it.
struct cable final : pawl::forwarding_store {
    using forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::role_lease>> claim_role(std::string_view role,
                                                          std::string_view owner,
                                                          pawl::duration lease_duration) override
    {
        if (cut)
            throw pawl::error(pawl::errc::store_unavailable, "the cable is cut");
        ++under_way;
        auto held = co_await forwarding_store::claim_role(role, owner, lease_duration);
        --under_way;
        co_return held;
    }

    awaitable<void> release_role(pawl::role_lease held) override
    {
        if (cut)
            throw pawl::error(pawl::errc::store_unavailable, "the cable is cut");
        ++under_way;
        co_await forwarding_store::release_role(std::move(held));
        --under_way;
    }

    std::atomic<bool> cut{false};
    std::atomic<int> under_way{0};
};

/// Where the roles are.
struct stage_store {
    std::shared_ptr<pawl::record_store> store;

    /// Moves the time on by which leases lapse there. Empty: that is the clock's.
    std::function<void(pawl::duration)> pass{};
};

using store_maker = stage_store (*)(const std::shared_ptr<manual_clock>&);

struct stage_parts {
    std::shared_ptr<manual_clock> clock = std::make_shared<manual_clock>();
    stage_store place;
    std::vector<std::shared_ptr<cable>> cables;
};

inline awaitable<void> advance(std::shared_ptr<stage_parts> parts, pawl::duration span)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    parts->clock->advance(span);
    if (parts->place.pass)
        parts->place.pass(span);
    // What follows may take turns between executor and store.
    for (int quiet = 0; quiet < 50;) {
        co_await boost::asio::post(executor, boost::asio::use_awaitable);
        ++quiet;
        for (const auto& each : parts->cables)
            if (each->under_way > 0)
                quiet = 0;
    }
}

inline role_fixture make_fixture(store_maker make_store)
{
    const auto parts = std::make_shared<stage_parts>();
    parts->place = make_store(parts->clock);
    role_fixture fixture;
    fixture.lease_duration = lease;
    fixture.make_scheduler = [parts] {
        parts->cables.push_back(std::make_shared<cable>(parts->place.store));
        return pawl::store_role_scheduler(parts->cables.back(),
                                          {.lease_duration = lease, .clock = parts->clock});
    };
    fixture.advance = [parts](pawl::duration span) {
        return advance(parts, span);
    };
    fixture.partition_first = [parts] {
        parts->cables.front()->cut = true;
    };
    return fixture;
}

/// One test case a check.
inline void add_suite(const std::string& name, store_maker make)
{
    auto* suite = BOOST_TEST_SUITE(name);
    for (const auto& check : pawl::testing::role_conformance_checks())
        suite->add(boost::unit_test::make_test_case(
            [check, make] { check.run([make] { return make_fixture(make); }); }, check.name,
            __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

} // namespace role_test
