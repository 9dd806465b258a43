#include "pawl/testing/role_conformance.hpp"

#include "testing/conformance/receiving.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>

namespace pawl::testing {

namespace {

namespace asio = boost::asio;
using role_ptr = std::unique_ptr<held_role>;

/// Checks poll this many times per lease duration, and fail after `max_leases` lease durations.
constexpr int polls_per_lease = 16;
constexpr int max_leases = 20;

/// An operation that may not have completed.
struct pending {
    asio::cancellation_signal cancel;
    role_ptr role; ///< the result of acquire()
    std::exception_ptr thrown;
    bool done = false;
};

using pending_ptr = std::shared_ptr<pending>;

awaitable<role_ptr> acquire(std::shared_ptr<role_scheduler> scheduler, std::string name)
{
    auto role = co_await scheduler->acquire(std::move(name));
    co_return role;
}

awaitable<void> wait_for_loss(held_role& role)
{
    co_await role.lost();
}

pending_ptr begin_acquire(const asio::any_io_executor& executor,
                          const std::shared_ptr<role_scheduler>& scheduler,
                          std::string name = "role")
{
    const auto begun = std::make_shared<pending>();
    asio::co_spawn(executor, acquire(scheduler, std::move(name)),
                   asio::bind_cancellation_slot(begun->cancel.slot(),
                                                [begun](std::exception_ptr thrown, role_ptr role) {
                                                    begun->thrown = thrown;
                                                    begun->role = std::move(role);
                                                    begun->done = true;
                                                }));
    return begun;
}

pending_ptr begin_loss(const asio::any_io_executor& executor, held_role& role)
{
    const auto begun = std::make_shared<pending>();
    asio::co_spawn(
        executor, wait_for_loss(role),
        asio::bind_cancellation_slot(begun->cancel.slot(), [begun](std::exception_ptr thrown) {
            begun->thrown = thrown;
            begun->done = true;
        }));
    return begun;
}

awaitable<void> let_time_pass(const role_fixture& fixture, duration span)
{
    if (fixture.advance) {
        co_await fixture.advance(span);
        co_return;
    }
    asio::steady_timer timer{co_await asio::this_coro::executor, span};
    co_await timer.async_wait(asio::use_awaitable);
}

/// Lets time pass until `done`; fails after `max_leases` lease durations.
awaitable<void> wait_until(const role_fixture& fixture, const bool& done, std::string violation)
{
    co_await run_ready_handlers();
    for (int poll = 0; poll < polls_per_lease * max_leases && !done; ++poll)
        co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
    expect(done, violation);
}

awaitable<role_ptr> acquire_free(const role_fixture& fixture,
                                 std::shared_ptr<role_scheduler> scheduler,
                                 std::string name = "role")
{
    const auto executor = co_await asio::this_coro::executor;
    const auto begun = begin_acquire(executor, scheduler, std::move(name));
    co_await wait_until(fixture, begun->done, "acquire() of a free role did not complete");
    if (begun->thrown)
        std::rethrow_exception(begun->thrown);
    expect(begun->role != nullptr, "acquire() returned a null pointer");
    co_return std::move(begun->role);
}

awaitable<void> a_free_role_is_held(const role_fixture& fixture)
{
    const auto role = co_await acquire_free(fixture, fixture.make_scheduler(), "a role");
    expect_equal(role->held(), true, "held() of an acquired role");
    expect_equal(role->name(), "a role", "name() of an acquired role");
    expect_greater(role->epoch(), std::uint64_t{0}, "epoch() of an acquired role");
}

awaitable<void> a_role_stays_with_its_holder(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await acquire_free(fixture, fixture.make_scheduler());
    const auto other = begin_acquire(executor, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    const auto epoch = role->epoch();
    for (int poll = 0; poll < polls_per_lease * 4; ++poll) {
        co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
        expect(role->held() && !loss->done, "the holder lost its role: the lease was not renewed");
        expect(!other->done, "two schedulers hold the role at the same time");
    }
    expect_equal(role->epoch(), epoch, "epoch() after renewals");
    co_await role->release();
    co_await wait_until(fixture, loss->done, "lost() did not complete after release()");
    co_await wait_until(fixture, other->done,
                        "a waiting acquire() did not complete after release()");
}

/// The state of schedulers that acquire one role in turn.
struct contest {
    int holders = 0;
    int rounds = 0; ///< acquired and released
    bool overlapped = false;
    bool done = false;
    std::uint64_t epoch = 0;
    bool epochs_grew = true;
};

awaitable<void> compete(std::shared_ptr<role_scheduler> scheduler, contest& all, int rounds,
                        int contenders)
{
    for (int round = 0; round < rounds; ++round) {
        const auto role = co_await scheduler->acquire("role");
        all.overlapped = ++all.holders > 1 || all.overlapped;
        all.epochs_grew = all.epochs_grew && role->epoch() > all.epoch;
        all.epoch = role->epoch();
        co_await run_ready_handlers();
        --all.holders;
        co_await role->release();
        all.done = ++all.rounds == rounds * contenders;
    }
}

awaitable<void> one_of_many_holds_a_role(const role_fixture& fixture)
{
    constexpr int contenders = 5;
    constexpr int rounds = 3;
    const auto executor = co_await asio::this_coro::executor;
    const auto all = std::make_shared<contest>();
    for (int i = 0; i < contenders; ++i)
        asio::co_spawn(executor, compete(fixture.make_scheduler(), *all, rounds, contenders),
                       [all](std::exception_ptr problem) {
                           if (problem)
                               std::rethrow_exception(problem);
                       });
    // Each handover may take a poll interval of the waiting schedulers.
    for (int tries = 0; tries < contenders * rounds && !all->done; ++tries) {
        const int before = all->rounds;
        for (int poll = 0;
             poll < polls_per_lease * max_leases && all->rounds == before && !all->done; ++poll)
            co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
        expect(all->rounds > before, "a waiting acquire() did not complete after release()");
    }
    expect(all->done,
           fmt::format("the role was acquired {} times of {}", all->rounds, contenders * rounds));
    expect(!all->overlapped, "two schedulers held the role at the same time");
    expect(all->epochs_grew, "the epoch did not grow from one holder to the next");
}

awaitable<void> one_scheduler_excludes_itself(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto scheduler = fixture.make_scheduler();
    auto role = co_await acquire_free(fixture, scheduler);
    const auto again = begin_acquire(executor, scheduler);
    for (int poll = 0; poll < polls_per_lease * 2; ++poll)
        co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
    expect(!again->done, "one scheduler holds a role twice");
    role.reset();
    co_await wait_until(fixture, again->done,
                        "a waiting acquire() did not complete after the held role was destroyed");
}

awaitable<void> role_names_are_case_sensitive(const role_fixture& fixture)
{
    const auto scheduler = fixture.make_scheduler();
    const auto one = co_await acquire_free(fixture, scheduler, "role");
    const auto other = co_await acquire_free(fixture, scheduler, "Role");
    expect(one->held() && other->held(), "roles whose names differ in case are not both held");
}

awaitable<void> a_waiting_acquire_can_be_cancelled(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await acquire_free(fixture, fixture.make_scheduler());
    const auto other = fixture.make_scheduler();
    const auto waiting = begin_acquire(executor, other);
    co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
    expect(!waiting->done, "two schedulers hold the role at the same time");
    waiting->cancel.emit(asio::cancellation_type::terminal);
    for (int i = 0; i < 10 && !waiting->done; ++i)
        co_await run_ready_handlers(); // without time passing
    expect(waiting->done, "a cancelled acquire() did not complete at once");
    expect(waiting->thrown != nullptr, "a cancelled acquire() did not throw");
    co_await role->release();
    const auto next = co_await acquire_free(fixture, other);
    expect(next->held(), "the role is not held after an acquire() that follows a cancelled one");
}

awaitable<void> a_wait_for_a_loss_can_be_cancelled(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await acquire_free(fixture, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    co_await run_ready_handlers();
    loss->cancel.emit(asio::cancellation_type::terminal);
    for (int i = 0; i < 10 && !loss->done; ++i)
        co_await run_ready_handlers();
    expect(loss->done && loss->thrown, "a cancelled lost() did not complete with an exception");
    co_await let_time_pass(fixture, fixture.lease_duration / 2);
    expect(role->held(), "the role is not held after lost() was cancelled");
}

awaitable<void> a_partitioned_holder_notices_before_the_next_holds(const role_fixture& fixture)
{
    if (!fixture.partition_first)
        co_return;
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await acquire_free(fixture, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    const auto next = begin_acquire(executor, fixture.make_scheduler());
    co_await let_time_pass(fixture, fixture.lease_duration / 2);
    fixture.partition_first();
    for (int poll = 0; poll < polls_per_lease * max_leases && !next->done; ++poll) {
        co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
        expect(!next->done || !role->held(), "two schedulers hold the role at the same time");
    }
    expect(next->done && next->role,
           "a waiting acquire() did not complete after the holder was partitioned");
    co_await wait_until(fixture, loss->done,
                        "lost() did not complete after the holder was partitioned");
    expect_equal(role->held(), false, "held() of a lost role");
    expect_greater(next->role->epoch(), role->epoch(), "epoch() of the next holder");
    co_await role->release(); // no effect: the role is lost
    co_await let_time_pass(fixture, fixture.lease_duration / polls_per_lease);
    expect(next->role->held(), "release() of a lost role released the next holder's role");
}

awaitable<void> a_role_needs_a_name(const role_fixture& fixture)
{
    co_await expect_refused_argument(acquire(fixture.make_scheduler(), ""),
                                     "a role without a name");
}

struct entry {
    const char* name;
    awaitable<void> (*body)(const role_fixture&);
};

constexpr entry entries[] = {
    {"a_free_role_is_held", a_free_role_is_held},
    {"a_role_stays_with_its_holder", a_role_stays_with_its_holder},
    {"one_of_many_holds_a_role", one_of_many_holds_a_role},
    {"one_scheduler_excludes_itself", one_scheduler_excludes_itself},
    {"role_names_are_case_sensitive", role_names_are_case_sensitive},
    {"a_waiting_acquire_can_be_cancelled", a_waiting_acquire_can_be_cancelled},
    {"a_wait_for_a_loss_can_be_cancelled", a_wait_for_a_loss_can_be_cancelled},
    {"a_partitioned_holder_notices_before_the_next_holds",
     a_partitioned_holder_notices_before_the_next_holds},
    {"a_role_needs_a_name", a_role_needs_a_name},
};

void run_check(const entry& check, const role_fixture_factory& make_fixture)
{
    asio::io_context context;
    const auto fixture = make_fixture();
    std::exception_ptr thrown;
    bool done = false;
    asio::co_spawn(context, check.body(fixture), [&](std::exception_ptr problem) {
        thrown = problem;
        done = true;
        if (problem)
            context.stop(); // other operations may never complete
    });
    while (!done && context.run_one() > 0)
        ;
    if (!thrown)
        context.run_for(std::chrono::seconds{2}); // roles are released in the background
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "the context ran out of work before a call of the scheduler completed");
}

} // namespace

std::vector<role_check> role_conformance_checks()
{
    std::vector<role_check> checks;
    for (const auto& check : entries)
        checks.push_back({check.name, [&check](const role_fixture_factory& make_fixture) {
                              run_check(check, make_fixture);
                          }});
    return checks;
}

} // namespace pawl::testing
