// Each role scheduler against the contract of role_scheduler, and schedulers that break one rule
// against the check that is named for it.
#include "conformance/role_fixture.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/test/unit_test.hpp>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define PAWL_LOOKS_FOR_LEAKS 1
#endif
#endif

BOOST_AUTO_TEST_SUITE(broken_role_schedulers)

namespace {

/// A scheduler that cannot be cancelled waits for ever, and its coroutine with it.
struct leaks_are_meant {
#ifdef PAWL_LOOKS_FOR_LEAKS
    leaks_are_meant() { __lsan_disable(); }
    ~leaks_are_meant() { __lsan_enable(); }
#else
    leaks_are_meant() {}
#endif
    leaks_are_meant(const leaks_are_meant&) = delete;
};

namespace asio = boost::asio;
using asio::awaitable;
using pawl::testing::manual_clock;
using pawl::testing::role_fixture;

role_test::stage_store in_memory(const std::shared_ptr<manual_clock>& clock)
{
    return {.store = pawl::open_memory({.clock = clock})};
}

role_test::stage_store in_sqlite(const std::shared_ptr<manual_clock>& clock)
{
    return {.store = pawl::open_sqlite(":memory:", {.clock = clock})};
}

const bool added = [] {
    role_test::add_suite("memory_roles", in_memory);
    role_test::add_suite("sqlite_roles", in_sqlite);
    return true;
}();

/// A fixture whose schedulers are each wrapped in one that breaks a rule.
template <class Broken>
role_fixture make_broken_stage()
{
    auto fixture = role_test::make_fixture(in_memory);
    fixture.make_scheduler = [make = fixture.make_scheduler] {
        return std::make_shared<Broken>(make());
    };
    return fixture;
}

struct forwarding_scheduler : pawl::role_scheduler {
    explicit forwarding_scheduler(std::shared_ptr<pawl::role_scheduler> inner)
        : sound(std::move(inner))
    {
    }

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string role) override
    {
        return sound->acquire(std::move(role));
    }

    std::shared_ptr<pawl::role_scheduler> sound;
};

/// Asks for a role of its own, whatever it was asked for.
struct gives_everybody : forwarding_scheduler {
    using forwarding_scheduler::forwarding_scheduler;

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string role) override
    {
        return sound->acquire(role + std::to_string(++count));
    }

    static inline int count = 0;
};

/// Knows one role only.
struct one_for_all : forwarding_scheduler {
    using forwarding_scheduler::forwarding_scheduler;

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string role) override
    {
        return sound->acquire(role.empty() ? role : "everything");
    }
};

/// Cannot be cancelled while it waits.
struct deaf : forwarding_scheduler {
    using forwarding_scheduler::forwarding_scheduler;

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string role) override
    {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        auto held = co_await sound->acquire(std::move(role));
        co_return held;
    }
};

/// Says that it holds a role for ever.
struct never_loses : forwarding_scheduler {
    using forwarding_scheduler::forwarding_scheduler;

    struct role final : pawl::held_role {
        std::unique_ptr<pawl::held_role> sound;

        const std::string& name() const noexcept override { return sound->name(); }
        std::uint64_t epoch() const noexcept override { return sound->epoch(); }
        bool held() const noexcept override { return true; }
        awaitable<void> lost() override { return sound->lost(); }
        awaitable<void> release() override { return sound->release(); }
    };

    awaitable<std::unique_ptr<pawl::held_role>> acquire(std::string name) override
    {
        auto made = std::make_unique<role>();
        made->sound = co_await sound->acquire(std::move(name));
        co_return std::unique_ptr<pawl::held_role>{std::move(made)};
    }
};

template <class Broken>
void expect_noticed(const std::string& name)
{
    for (const auto& check : pawl::testing::role_conformance_checks())
        if (check.name == name) {
            check.run([] { return make_broken_stage<forwarding_scheduler>(); });
            const leaks_are_meant of_broken;
            BOOST_CHECK_THROW(check.run([] { return make_broken_stage<Broken>(); }),
                              std::runtime_error);
            return;
        }
    BOOST_ERROR("there is no check " << name);
}

} // namespace

BOOST_AUTO_TEST_CASE(two_holders_are_noticed)
{
    expect_noticed<gives_everybody>("one_of_many_holds_a_role");
}

BOOST_AUTO_TEST_CASE(roles_taken_for_one_are_noticed)
{
    expect_noticed<one_for_all>("role_names_are_case_sensitive");
}

BOOST_AUTO_TEST_CASE(a_wait_that_cannot_be_cancelled_is_noticed)
{
    expect_noticed<deaf>("a_waiting_acquire_can_be_cancelled");
}

BOOST_AUTO_TEST_CASE(a_holder_that_does_not_know_of_its_loss_is_noticed)
{
    expect_noticed<never_loses>("a_partitioned_holder_notices_before_the_next_holds");
}

BOOST_AUTO_TEST_SUITE_END()
