#include "async/auto_reset_event.hpp"
#include "async/lease_timer.hpp"
#include "async/timed_wait.hpp"
#include "core/option_check.hpp"
#include "core/stable_hash.hpp"
#include "pawl/error.hpp"
#include "pawl/role_scheduler.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <random>
#include <utility>

#include <unistd.h>

namespace pawl {

namespace asio = boost::asio;

namespace {

using async::auto_reset_event;
using async::lease_timer;

constexpr std::size_t max_owner = 900;
constexpr duration shortest_lease = std::chrono::milliseconds{10};
constexpr duration longest_lease = std::chrono::hours{24};

/// A lease is renewed after one third of its time, a failed renewal is retried after one twelfth,
/// and a role that another owner holds is claimed at least every fourth of it.
constexpr int renewals_per_lease = 3;
constexpr int retries_per_lease = 12;
constexpr int claims_per_lease = 4;

/// Claims a role until it is held, then renews the lease, in one coroutine that ends when the role
/// is lost or no longer wanted.
class role_session : public std::enable_shared_from_this<role_session> {
public:
    role_session(std::shared_ptr<record_store> store, std::shared_ptr<clock> clock,
                 duration lease_duration, std::string role, std::string owner,
                 asio::any_io_executor executor)
        : store_(std::move(store)), clock_(std::move(clock)), lease_duration_(lease_duration),
          role_(std::move(role)), owner_(std::move(owner)),
          strand_(asio::make_strand(std::move(executor))), pause_(clock_->make_timer(strand_))
    {
    }

    void start()
    {
        asio::co_spawn(strand_, run(shared_from_this()), [](const std::exception_ptr& escaped) {
            if (escaped) // exceptions of the store are caught; nothing else throws
                std::rethrow_exception(escaped);
        });
    }

    /// Completes when the role is held, or no longer wanted. Throws what the store threw.
    asio::awaitable<void> wait_until_claimed()
    {
        while (!claim_ended_)
            co_await claim_end_->wait();
        if (failure_)
            std::rethrow_exception(failure_);
    }

    asio::awaitable<void> wait_until_lost()
    {
        while (held_)
            co_await loss_->wait();
    }

    asio::awaitable<void> release()
    {
        const bool was_held = held_;
        abandon();
        while (was_held && !ended_)
            co_await end_->wait();
    }

    /// Stops claiming the role, and releases it if it is held.
    void abandon()
    {
        wanted_ = false;
        asio::post(strand_, [self = shared_from_this()] { self->pause_->cancel(); });
    }

    bool held() const noexcept
    {
        return held_ && clock_->now() < time_point{duration{held_until_.load()}};
    }

    const std::string& role() const noexcept { return role_; }
    std::uint64_t epoch() const noexcept { return epoch_; }

private:
    enum class claim_result { held, refused, unknown };

    static asio::awaitable<void> run(std::shared_ptr<role_session> self)
    {
        co_await self->claim_until_held();
        self->claim_ended_ = true;
        self->claim_end_->set();
        while (self->held_ && self->wanted_)
            co_await self->renew();
        self->mark_lost();
        if (self->epoch_ != 0)
            co_await self->release_lease();
        self->ended_ = true;
        self->end_->set();
    }

    asio::awaitable<void> claim_until_held()
    {
        for (std::uint64_t claims = 1; wanted_ && !held_; ++claims) {
            const auto result = co_await claim();
            if (result == claim_result::unknown)
                co_return;
            if (result == claim_result::refused && wanted_)
                co_await async::wait(*pause_, claim_interval(claims));
        }
    }

    asio::awaitable<void> renew()
    {
        co_await async::wait(*pause_, renewal_failed_ ? lease_duration_ / retries_per_lease
                                                      : lease_duration_ / renewals_per_lease);
        if (!wanted_ || !held_)
            co_return;
        const auto result = co_await claim();
        renewal_failed_ = result == claim_result::unknown;
        if (result == claim_result::refused)
            mark_lost();
    }

    asio::awaitable<claim_result> claim()
    {
        const auto requested_at = clock_->now();
        const auto lease_time = start_lease_timer();
        std::optional<role_lease> lease;
        std::exception_ptr failure;
        try {
            lease = co_await store_->claim_role(role_, owner_, lease_duration_);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (!held_)
                failure_ = failure;
            co_return claim_result::unknown;
        }
        if (!lease || (was_held_ && lease->epoch != epoch_))
            co_return claim_result::refused;
        epoch_ = lease->epoch;
        // A late answer does not count: another owner may hold the role by now.
        if (lease_time->lapsed() || (was_held_ && !held_))
            co_return claim_result::refused;
        lease_timer_ = lease_time;
        held_until_ = (requested_at + lease_duration_).time_since_epoch().count();
        // A renewal leaves it to mark_lost() to end a role that is no longer wanted.
        if (!was_held_)
            held_ = wanted_.load();
        was_held_ = true;
        co_return claim_result::held;
    }

    std::shared_ptr<lease_timer> start_lease_timer()
    {
        return lease_timer::start(*clock_, strand_, lease_duration_,
                                  [weak = weak_from_this()](const lease_timer& lapsed) {
                                      const auto self = weak.lock();
                                      if (self && self->lease_timer_.get() == &lapsed)
                                          self->mark_lost();
                                  });
    }

    void mark_lost()
    {
        if (!held_.exchange(false))
            return;
        loss_->set();
        pause_->cancel();
    }

    asio::awaitable<void> release_lease()
    {
        lease_timer_.reset();
        try {
            co_await store_->release_role(role_lease{role_, epoch_, owner_, {}});
        } catch (...) {
            // The lease lapses by itself.
        }
    }

    /// The time until the next claim, different for each owner, so that waiting owners do not all
    /// claim at the same moment.
    duration claim_interval(std::uint64_t claims) const
    {
        const auto longest = lease_duration_ / claims_per_lease;
        const auto part = core::mix(core::fnv1a(owner_) + claims) % 1024;
        return longest / 2 + longest * static_cast<int>(part) / 2048;
    }

    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<clock> clock_;
    const duration lease_duration_;
    const std::string role_;
    const std::string owner_;
    const asio::any_io_executor strand_;
    const std::unique_ptr<timer> pause_;
    std::shared_ptr<lease_timer> lease_timer_; ///< of the lease that is held
    bool was_held_ = false;                    ///< a role that was lost is not claimed again
    bool renewal_failed_ = false;
    std::exception_ptr failure_; ///< written before claim_ended_

    std::atomic<bool> wanted_{true};
    std::atomic<bool> claim_ended_{false};
    std::atomic<bool> held_{false};
    std::atomic<bool> ended_{false};
    std::atomic<std::uint64_t> epoch_{0};
    std::atomic<duration::rep> held_until_{0};
    const std::shared_ptr<auto_reset_event> claim_end_ = std::make_shared<auto_reset_event>();
    const std::shared_ptr<auto_reset_event> loss_ = std::make_shared<auto_reset_event>();
    const std::shared_ptr<auto_reset_event> end_ = std::make_shared<auto_reset_event>();
};

class store_role final : public held_role {
public:
    explicit store_role(std::shared_ptr<role_session> session) : session_(std::move(session)) {}
    ~store_role() override { session_->abandon(); }

    const std::string& name() const noexcept override { return session_->role(); }
    std::uint64_t epoch() const noexcept override { return session_->epoch(); }
    bool held() const noexcept override { return session_->held(); }
    asio::awaitable<void> lost() override { return session_->wait_until_lost(); }
    asio::awaitable<void> release() override { return session_->release(); }

private:
    const std::shared_ptr<role_session> session_;
};

constexpr std::string_view reserved_prefix = "pawl.";

class store_scheduler final : public role_scheduler {
public:
    store_scheduler(std::shared_ptr<record_store> store, role_scheduler_options options)
        : store_(std::move(store)), options_(std::move(options))
    {
    }

    asio::awaitable<std::unique_ptr<held_role>> acquire(std::string role) override
    {
        if (role.empty())
            throw error(errc::invalid_argument, "role_scheduler::acquire: a role needs a name");
        if (role.starts_with(reserved_prefix))
            throw error(errc::invalid_argument,
                        "role_scheduler::acquire: the role \"" + role +
                            "\" begins with \"pawl.\", as the roles of Pawl itself do; use "
                            "another name");
        auto acquired = co_await acquire_reserved(std::move(role));
        co_return acquired;
    }

    asio::awaitable<std::unique_ptr<held_role>> acquire_reserved(std::string role) override
    {
        auto executor = co_await asio::this_coro::executor;
        const auto session = std::make_shared<role_session>(
            store_, options_.clock, options_.lease_duration, std::move(role),
            fmt::format("{}#{}", options_.owner, ++holders_), std::move(executor));
        // Its destructor releases the role if the wait is cancelled, or destroyed with its
        // executor.
        std::unique_ptr<held_role> acquired = std::make_unique<store_role>(session);
        session->start();
        co_await session->wait_until_claimed();
        co_return acquired;
    }

private:
    const std::shared_ptr<record_store> store_;
    const role_scheduler_options options_;
    std::atomic<std::uint64_t> holders_{0};
};

} // namespace

std::shared_ptr<role_scheduler> store_role_scheduler(std::shared_ptr<record_store> store,
                                                     role_scheduler_options options)
{
    if (!store)
        throw definition_error("store_role_scheduler: the store must not be null");
    const core::option_check check{"role_scheduler_options::"};
    check.require(options.clock != nullptr,
                  "clock must not be null: leave the default for the machine's clocks");
    check.within("lease_duration", options.lease_duration, shortest_lease, longest_lease);
    if (options.owner.size() > max_owner)
        check.refuse("owner", "longer than 900 bytes", "at most 900 bytes long");
    // Owners are unique, so that a process does not mistake a former owner's role for its own.
    std::random_device random;
    options.owner = fmt::format("{}-{:08x}{:08x}",
                                options.owner.empty() ? std::to_string(::getpid()) : options.owner,
                                random(), random());
    return std::make_shared<store_scheduler>(std::move(store), std::move(options));
}

} // namespace pawl
