#include "async/auto_reset_event.hpp"
#include "core/stable_hash.hpp"
#include "pawl/error.hpp"
#include "pawl/role_scheduler.hpp"

#include <boost/asio/async_result.hpp>
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

constexpr std::size_t max_owner = 900;
constexpr duration shortest_lease = std::chrono::milliseconds{10};
constexpr duration longest_lease = std::chrono::hours{24};

/// Parts of a lease: until it is renewed, until a renewal that failed is tried again, and the
/// longest time between two looks of one who waits.
constexpr int renewals = 3;
constexpr int repeats = 12;
constexpr int looks = 4;

/// The time of a lease, counted here from before it was asked for.
struct lapse {
    std::unique_ptr<timer> clock;
    bool over = false;
};

/// Asks for a role until it has it, then keeps it, in one coroutine that ends when the role is lost
/// or nobody wants it any more.
class keeper : public std::enable_shared_from_this<keeper> {
public:
    keeper(std::shared_ptr<record_store> store, std::shared_ptr<clock> clock, duration lease,
           std::string role, std::string owner, asio::any_io_executor executor)
        : store_(std::move(store)), clock_(std::move(clock)), lease_(lease), role_(std::move(role)),
          owner_(std::move(owner)), strand_(asio::make_strand(std::move(executor))),
          pause_(clock_->make_timer(strand_))
    {
    }

    void start()
    {
        asio::co_spawn(strand_, keep(shared_from_this()), [](const std::exception_ptr& escaped) {
            if (escaped) // what the store throws is caught; nothing else throws
                std::rethrow_exception(escaped);
        });
    }

    /// Completes when the role is held; throws what the store did.
    asio::awaitable<void> decided()
    {
        while (!decided_)
            co_await decision_->wait();
        if (failure_)
            std::rethrow_exception(failure_);
    }

    asio::awaitable<void> lost()
    {
        while (held_)
            co_await loss_->wait();
    }

    asio::awaitable<void> release()
    {
        const bool was_held = held_;
        abandon();
        while (was_held && !over_)
            co_await end_->wait();
    }

    /// Gives the role back, or stops asking for it.
    void abandon()
    {
        wanted_ = false;
        asio::post(strand_, [self = shared_from_this()] { self->pause_->cancel(); });
    }

    bool held() const noexcept
    {
        return held_ && clock_->now() < time_point{duration{until_.load()}};
    }

    const std::string& role() const noexcept { return role_; }
    std::uint64_t epoch() const noexcept { return epoch_; }

private:
    enum class claimed { yes, no, unknown };

    static asio::awaitable<void> keep(std::shared_ptr<keeper> self)
    {
        co_await self->ask();
        self->decided_ = true;
        self->decision_->set();
        while (self->held_ && self->wanted_)
            co_await self->renew();
        self->lose();
        if (self->epoch_ != 0)
            co_await self->give_back();
        self->over_ = true;
        self->end_->set();
    }

    asio::awaitable<void> ask()
    {
        for (std::uint64_t look = 1; wanted_ && !held_; ++look) {
            const auto result = co_await claim();
            if (result == claimed::unknown)
                co_return;
            if (result == claimed::no && wanted_)
                co_await sleep(until_next_look(look));
        }
    }

    asio::awaitable<void> renew()
    {
        co_await sleep(unheard_ ? lease_ / repeats : lease_ / renewals);
        if (!wanted_ || !held_)
            co_return;
        const auto result = co_await claim();
        unheard_ = result == claimed::unknown;
        if (result == claimed::no)
            lose();
    }

    asio::awaitable<claimed> claim()
    {
        const auto asked_at = clock_->now();
        const auto time = begin_lapse();
        std::optional<role_lease> lease;
        std::exception_ptr failure;
        try {
            lease = co_await store_->claim_role(role_, owner_, lease_);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (!held_)
                failure_ = failure;
            co_return claimed::unknown;
        }
        if (!lease || (taken_ && lease->epoch != epoch_))
            co_return claimed::no;
        epoch_ = lease->epoch;
        // An answer that came too late says nothing: another one may have the role by now.
        if (time->over || (taken_ && !held_))
            co_return claimed::no;
        lapse_ = time;
        until_ = (asked_at + lease_).time_since_epoch().count();
        held_ = wanted_.load();
        taken_ = true;
        co_return claimed::yes;
    }

    std::shared_ptr<lapse> begin_lapse()
    {
        const auto begun = std::make_shared<lapse>();
        begun->clock = clock_->make_timer(strand_);
        begun->clock->wait(lease_, [weak = weak_from_this(), ended = std::weak_ptr{begun}] {
            const auto self = weak.lock();
            const auto time = ended.lock();
            if (!self || !time)
                return;
            time->over = true;
            if (self->lapse_ == time)
                self->lose();
        });
        return begun;
    }

    void lose()
    {
        if (!held_.exchange(false))
            return;
        loss_->set();
        pause_->cancel();
    }

    asio::awaitable<void> give_back()
    {
        lapse_.reset();
        try {
            co_await store_->release_role(role_lease{role_, epoch_, owner_, {}});
        } catch (...) {
            // It lapses by itself.
        }
    }

    /// Those who wait do not look at the same moment.
    duration until_next_look(std::uint64_t look) const
    {
        const auto longest = lease_ / looks;
        const auto part = core::mix(core::fnv1a(owner_) + look) % 1024;
        return longest / 2 + longest * static_cast<int>(part) / 2048;
    }

    asio::awaitable<void> sleep(duration span)
    {
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
            [](auto handler, timer* waiting, duration length) {
                waiting->wait(length, std::move(handler));
            },
            asio::use_awaitable, pause_.get(), span);
    }

    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<clock> clock_;
    const duration lease_;
    const std::string role_;
    const std::string owner_;
    const asio::any_io_executor strand_;
    const std::unique_ptr<timer> pause_;
    std::shared_ptr<lapse> lapse_; ///< of the lease that is held
    bool taken_ = false;           ///< it was held once: it is not taken again
    bool unheard_ = false;         ///< the last renewal failed
    std::exception_ptr failure_;   ///< written before decided_

    std::atomic<bool> wanted_{true};
    std::atomic<bool> decided_{false};
    std::atomic<bool> held_{false};
    std::atomic<bool> over_{false};
    std::atomic<std::uint64_t> epoch_{0};
    std::atomic<duration::rep> until_{0};
    const std::shared_ptr<async::auto_reset_event> decision_ =
        std::make_shared<async::auto_reset_event>();
    const std::shared_ptr<async::auto_reset_event> loss_ =
        std::make_shared<async::auto_reset_event>();
    const std::shared_ptr<async::auto_reset_event> end_ =
        std::make_shared<async::auto_reset_event>();
};

class store_role final : public held_role {
public:
    explicit store_role(std::shared_ptr<keeper> kept) : keeper_(std::move(kept)) {}
    ~store_role() override { keeper_->abandon(); }

    const std::string& name() const noexcept override { return keeper_->role(); }
    std::uint64_t epoch() const noexcept override { return keeper_->epoch(); }
    bool held() const noexcept override { return keeper_->held(); }
    asio::awaitable<void> lost() override { return keeper_->lost(); }
    asio::awaitable<void> release() override { return keeper_->release(); }

private:
    const std::shared_ptr<keeper> keeper_;
};

constexpr std::string_view reserved_prefix = "pawl.";

class scheduler final : public role_scheduler {
public:
    scheduler(std::shared_ptr<record_store> store, role_scheduler_options options)
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
        auto taken = co_await acquire_reserved(std::move(role));
        co_return taken;
    }

    asio::awaitable<std::unique_ptr<held_role>> acquire_reserved(std::string role) override
    {
        auto executor = co_await asio::this_coro::executor;
        const auto kept = std::make_shared<keeper>(
            store_, options_.clock, options_.lease_duration, std::move(role),
            fmt::format("{}#{}", options_.owner, ++holders_), std::move(executor));
        // From now on the role is given back, unless the caller gets it: also when the wait is
        // cancelled, or is destroyed with its executor.
        std::unique_ptr<held_role> taken = std::make_unique<store_role>(kept);
        kept->start();
        co_await kept->decided();
        co_return taken;
    }

private:
    const std::shared_ptr<record_store> store_;
    const role_scheduler_options options_;
    std::atomic<std::uint64_t> holders_{0};
};

[[noreturn]] void refuse(const char* what)
{
    throw definition_error(std::string{"role_scheduler_options::"} + what);
}

} // namespace

std::shared_ptr<role_scheduler> store_role_scheduler(std::shared_ptr<record_store> store,
                                                     role_scheduler_options options)
{
    if (!store)
        throw definition_error("store_role_scheduler: the store must not be null");
    if (!options.clock)
        refuse("clock must not be null: leave the default for the machine's clocks");
    if (options.lease_duration < shortest_lease || options.lease_duration > longest_lease)
        refuse("lease_duration must be from 10 ms to 1 day");
    if (options.owner.size() > max_owner)
        refuse("owner must have at most 900 bytes");
    // Never the same one twice, so that nobody takes the role of one who is gone for its own.
    std::random_device random;
    options.owner = fmt::format("{}-{:08x}{:08x}",
                                options.owner.empty() ? std::to_string(::getpid()) : options.owner,
                                random(), random());
    return std::make_shared<scheduler>(std::move(store), std::move(options));
}

} // namespace pawl
