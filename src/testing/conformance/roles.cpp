#include "pawl/testing/role_conformance.hpp"

#include "testing/conformance/fixture.hpp"

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

/// Time is looked at in parts of a lease, and given up after so many leases.
constexpr int parts = 16;
constexpr int patience = 20;

/// An operation that is under way.
struct pending {
    asio::cancellation_signal cancel;
    role_ptr role; ///< of an acquire that gave one
    std::exception_ptr thrown;
    bool done = false;
};

using pending_ptr = std::shared_ptr<pending>;

awaitable<role_ptr> acquire(std::shared_ptr<role_scheduler> from, std::string name)
{
    auto role = co_await from->acquire(std::move(name));
    co_return role;
}

awaitable<void> wait_for_loss(held_role& of)
{
    co_await of.lost();
}

pending_ptr begin_acquire(const asio::any_io_executor& executor,
                          const std::shared_ptr<role_scheduler>& from, std::string name = "role")
{
    const auto begun = std::make_shared<pending>();
    asio::co_spawn(executor, acquire(from, std::move(name)),
                   asio::bind_cancellation_slot(begun->cancel.slot(),
                                                [begun](std::exception_ptr thrown, role_ptr role) {
                                                    begun->thrown = thrown;
                                                    begun->role = std::move(role);
                                                    begun->done = true;
                                                }));
    return begun;
}

pending_ptr begin_loss(const asio::any_io_executor& executor, held_role& of)
{
    const auto begun = std::make_shared<pending>();
    asio::co_spawn(
        executor, wait_for_loss(of),
        asio::bind_cancellation_slot(begun->cancel.slot(), [begun](std::exception_ptr thrown) {
            begun->thrown = thrown;
            begun->done = true;
        }));
    return begun;
}

/// Lets everybody else do what they can do at once.
awaitable<void> settle()
{
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 200; ++i)
        co_await asio::post(executor, asio::use_awaitable);
}

awaitable<void> pass(const role_fixture& fixture, duration span)
{
    if (fixture.advance) {
        co_await fixture.advance(span);
        co_return;
    }
    asio::steady_timer timer{co_await asio::this_coro::executor, span};
    co_await timer.async_wait(asio::use_awaitable);
}

/// Lets time pass until `done`, for as long as a test may take.
awaitable<void> wait_until(const role_fixture& fixture, const bool& done, std::string what)
{
    co_await settle();
    for (int part = 0; part < parts * patience && !done; ++part)
        co_await pass(fixture, fixture.lease_duration / parts);
    expect(done, what);
}

awaitable<role_ptr> take(const role_fixture& fixture, std::shared_ptr<role_scheduler> from,
                         std::string name = "role")
{
    const auto executor = co_await asio::this_coro::executor;
    const auto begun = begin_acquire(executor, from, std::move(name));
    co_await wait_until(fixture, begun->done, "a role that nobody holds was not given");
    if (begun->thrown)
        std::rethrow_exception(begun->thrown);
    expect(begun->role != nullptr, "an acquire gave no role");
    co_return std::move(begun->role);
}

awaitable<void> a_free_role_is_held(const role_fixture& fixture)
{
    const auto role = co_await take(fixture, fixture.make_scheduler(), "a role");
    expect(role->held(), "a role is not held that was acquired");
    expect(role->name() == "a role", "a role has another name than was asked for");
    expect(role->epoch() > 0, "the first epoch is not above zero");
}

awaitable<void> a_role_stays_with_its_holder(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await take(fixture, fixture.make_scheduler());
    const auto other = begin_acquire(executor, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    const auto epoch = role->epoch();
    for (int part = 0; part < parts * 4; ++part) {
        co_await pass(fixture, fixture.lease_duration / parts);
        expect(role->held() && !loss->done, "a role was not renewed");
        expect(!other->done, "two hold a role");
    }
    expect(role->epoch() == epoch, "a renewal changed the epoch");
    co_await role->release();
    co_await wait_until(fixture, loss->done, "a role given back was not said to be lost");
    co_await wait_until(fixture, other->done, "a role given back was not given to who waited");
}

/// What many do with one role, one after another.
struct contest {
    int holders = 0;
    int rounds = 0;
    bool twice = false;
    bool done = false;
    std::uint64_t epoch = 0;
    bool grew = true;
};

awaitable<void> compete(std::shared_ptr<role_scheduler> self, contest& all, int rounds,
                        int contenders)
{
    for (int round = 0; round < rounds; ++round) {
        const auto role = co_await self->acquire("role");
        all.twice = all.twice || ++all.holders > 1;
        all.grew = all.grew && role->epoch() > all.epoch;
        all.epoch = role->epoch();
        co_await settle();
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
    // Each handover may take as long as those who wait do not look.
    for (int tries = 0; tries < contenders * rounds && !all->done; ++tries) {
        const int before = all->rounds;
        for (int part = 0; part < parts * patience && all->rounds == before && !all->done; ++part)
            co_await pass(fixture, fixture.lease_duration / parts);
        expect(all->rounds > before, "a role given back was not given to who waited");
    }
    expect(all->done, "not everybody who waited held the role");
    expect(!all->twice, "two held a role at the same time");
    expect(all->grew, "the epoch did not grow from one holder to the next");
}

awaitable<void> one_scheduler_excludes_itself(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto scheduler = fixture.make_scheduler();
    auto role = co_await take(fixture, scheduler);
    const auto again = begin_acquire(executor, scheduler);
    for (int part = 0; part < parts * 2; ++part)
        co_await pass(fixture, fixture.lease_duration / parts);
    expect(!again->done, "two holders of one scheduler hold a role");
    role.reset();
    co_await wait_until(fixture, again->done, "a role that was destroyed was not given back");
}

awaitable<void> roles_are_apart(const role_fixture& fixture)
{
    const auto scheduler = fixture.make_scheduler();
    const auto one = co_await take(fixture, scheduler, "role");
    const auto other = co_await take(fixture, scheduler, "Role");
    expect(one->held() && other->held(), "a role was taken with another one");
}

awaitable<void> a_waiting_acquire_can_be_cancelled(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await take(fixture, fixture.make_scheduler());
    const auto other = fixture.make_scheduler();
    const auto waiting = begin_acquire(executor, other);
    co_await pass(fixture, fixture.lease_duration / parts);
    expect(!waiting->done, "two hold a role");
    waiting->cancel.emit(asio::cancellation_type::terminal);
    for (int i = 0; i < 10 && !waiting->done; ++i)
        co_await settle(); // no time passes
    expect(waiting->done, "an acquire that waits was not cancelled at once");
    expect(waiting->thrown != nullptr, "a cancelled acquire gave a role");
    co_await role->release();
    const auto next = co_await take(fixture, other);
    expect(next->held(), "the one who was cancelled took the role all the same");
}

awaitable<void> a_wait_for_a_loss_can_be_cancelled(const role_fixture& fixture)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await take(fixture, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    co_await settle();
    loss->cancel.emit(asio::cancellation_type::terminal);
    for (int i = 0; i < 10 && !loss->done; ++i)
        co_await settle();
    expect(loss->done && loss->thrown, "a wait for a loss was not cancelled");
    co_await pass(fixture, fixture.lease_duration / 2);
    expect(role->held(), "a cancelled wait lost the role");
}

awaitable<void> a_holder_that_reaches_nobody_knows_before_the_next(const role_fixture& fixture)
{
    if (!fixture.partition_first)
        co_return;
    const auto executor = co_await asio::this_coro::executor;
    const auto role = co_await take(fixture, fixture.make_scheduler());
    const auto loss = begin_loss(executor, *role);
    const auto next = begin_acquire(executor, fixture.make_scheduler());
    co_await pass(fixture, fixture.lease_duration / 2);
    fixture.partition_first();
    for (int part = 0; part < parts * patience && !next->done; ++part) {
        co_await pass(fixture, fixture.lease_duration / parts);
        expect(!next->done || !role->held(), "two hold a role");
    }
    expect(next->done && next->role, "the role of one who is gone was not given to the next");
    co_await wait_until(fixture, loss->done, "a loss was not told");
    expect(!role->held(), "a lost role is held");
    expect(next->role->epoch() > role->epoch(), "the next holder's epoch is not greater");
    co_await role->release(); // of a role that is not held: nothing
    co_await pass(fixture, fixture.lease_duration / parts);
    expect(next->role->held(), "one who lost the role gave it back for another");
}

awaitable<void> a_role_needs_a_name(const role_fixture& fixture)
{
    co_await expect_refused_argument(acquire(fixture.make_scheduler(), ""), "a role without a name");
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
    {"roles_are_apart", roles_are_apart},
    {"a_waiting_acquire_can_be_cancelled", a_waiting_acquire_can_be_cancelled},
    {"a_wait_for_a_loss_can_be_cancelled", a_wait_for_a_loss_can_be_cancelled},
    {"a_holder_that_reaches_nobody_knows_before_the_next",
     a_holder_that_reaches_nobody_knows_before_the_next},
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
            context.stop(); // somebody may wait for ever
    });
    while (!done && context.run_one() > 0)
        ;
    if (!thrown)
        context.run_for(std::chrono::seconds{2}); // roles are given back in the background
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "nothing was left to do before a call of the scheduler completed");
}

} // namespace

std::vector<role_check> role_conformance_checks()
{
    std::vector<role_check> checks;
    for (const auto& each : entries)
        checks.push_back({each.name, [&each](const role_fixture_factory& make_fixture) {
                              run_check(each, make_fixture);
                          }});
    return checks;
}

} // namespace pawl::testing
