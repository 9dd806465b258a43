#include "engine/cluster/shard_manager.hpp"

#include "engine/run/active_runs.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Prefix of the roles by which an engine shows that it is alive. The engine's name follows, then
/// '/' and the first shards of its workflows, each with too_old_mark if the engine is too old for
/// that workflow.
constexpr std::string_view engine_roles = "pawl.engine/";

constexpr char too_old_mark = '!';

/// The number of workflows that one such role names.
constexpr std::size_t workflows_in_role = 64;

/// The longest time between two polls of the store's leases.
constexpr duration max_poll_interval = std::chrono::seconds{1};

std::string list_of(const std::vector<std::uint32_t>& shards)
{
    return fmt::format("{}", fmt::join(shards, ", "));
}

/// The roles of an engine: at least one, also without workflows.
std::vector<std::string> roles_of(const core::engine_facts& engine)
{
    std::vector<std::string> roles;
    std::size_t named = 0;
    const auto begin_role = [&] {
        roles.push_back(fmt::format("{}{}/", engine_roles, engine.name));
        named = 0;
    };
    begin_role();
    for (const auto first : engine.workflows) {
        if (named == workflows_in_role)
            begin_role();
        roles.back() += fmt::format("{}{}", named++ == 0 ? "" : ",", first);
        if (std::ranges::find(engine.too_old, first) != engine.too_old.end())
            roles.back() += too_old_mark;
    }
    return roles;
}

/// Adds the workflows that a role names to its engine. Skips numbers that cannot be read.
void read_role(const role_lease& role, core::engine_facts& engine)
{
    std::string_view rest = role.role;
    rest.remove_prefix(std::min(rest.size(), engine_roles.size() + role.owner.size() + 1));
    while (!rest.empty()) {
        std::uint32_t first = 0;
        auto number = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), number.size() + 1));
        const bool too_old = number.ends_with(too_old_mark);
        if (too_old)
            number.remove_suffix(1);
        const auto end = number.data() + number.size();
        const auto read = std::from_chars(number.data(), end, first);
        if (read.ptr != end || read.ec != std::errc{})
            continue;
        engine.workflows.push_back(first);
        if (too_old)
            engine.too_old.push_back(first);
    }
}

} // namespace

shard_manager::shard_manager(engine_parts& shared, std::string owner, duration lease_duration,
                             handlers callbacks)
    : shared_(shared), owner_(std::move(owner)), lease_duration_(lease_duration),
      callbacks_(std::move(callbacks)), strand_(asio::make_strand(shared.executor)),
      timer_(shared.clock.make_timer(strand_))
{
}

asio::awaitable<void> shard_manager::claim_first_shards()
{
    if (shared_.store.shared()) {
        renewed_at_ = shared_.clock.now();
        co_await claim_engine_roles();
        // Removes the roles of engines that have ended or died.
        co_await shared_.store.forget_roles(engine_roles);
        co_return;
    }
    std::vector<std::uint32_t> all(shared_.store.shards());
    std::iota(all.begin(), all.end(), 0);
    const auto before = co_await shared_.store.leases();
    auto claimed = co_await shared_.store.claim(all, owner_, lease_duration_);
    for (const auto shard : all) {
        if (std::ranges::find(claimed, shard, &lease::shard) != claimed.end())
            continue;
        co_await shared_.store.release(std::move(claimed));
        throw error(errc::fenced, fmt::format("shard {} of the store", shard));
    }
    co_await acquire_shards(std::move(claimed), before);
}

core::engine_facts shard_manager::own_facts() const
{
    core::engine_facts facts{owner_, {}, {}};
    for (const auto& [workflow, first] : shared_.layout.first_shards()) {
        facts.workflows.push_back(first);
        if (shared_.workflows.find(workflow)->second.too_old)
            facts.too_old.push_back(first);
    }
    return facts;
}

/// Claims the new roles before it releases outdated ones: meanwhile the engine counts as too old.
asio::awaitable<void> shard_manager::claim_engine_roles()
{
    auto before = std::exchange(roles_, roles_of(own_facts()));
    for (const auto& role : roles_) {
        co_await shared_.store.claim_role(role, owner_, lease_duration_);
        std::erase(before, role);
    }
    for (const auto& role : before)
        co_await release_role(role);
}

asio::awaitable<void> shard_manager::release_role(std::string name)
{
    const auto role = co_await shared_.store.claim_role(std::move(name), owner_, lease_duration_);
    if (role)
        co_await shared_.store.release_role(*role);
}

void shard_manager::start()
{
    if (shared_.store.shared())
        shared_.background.spawn(strand_, manage_leases());
}

void shard_manager::stop()
{
    stopping_ = true;
}

void shard_manager::stop_renewing()
{
    ending_ = true;
    recheck_leases();
    asio::post(strand_, [self = shared_from_this()] { self->lease_timer_.reset(); });
}

void shard_manager::recheck_leases()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> shard_manager::manage_leases()
{
    lease_timer_ = start_lease_timer();
    while (!ending_) {
        std::exception_ptr failure;
        try {
            co_await poll_leases();
        } catch (...) {
            failure = std::current_exception();
        }
        reachable_ = !failure;
        if (failure)
            shared_.log({log_level::warn,
                         "cannot renew the leases of shards: " + detail::exception_text(failure)});
        co_await sleep(std::min(max_poll_interval, lease_duration_ / 3));
    }
    lease_timer_.reset();
}

asio::awaitable<void> shard_manager::sleep(duration span)
{
    if (!woken_ && !ending_)
        co_await wait(*timer_, span);
}

asio::awaitable<void> shard_manager::poll_leases()
{
    const auto now = shared_.clock.now();
    // A clock that was set back must not delay a renewal.
    const bool is_due =
        now - renewed_at_ >= lease_duration_ / 3 || now < renewed_at_ || lease_timer_->lapsed();
    if (woken_.exchange(false) || is_due)
        co_await renew_leases();
    // Shards that were acquired now would not be dropped if the next renewal is not answered. The
    // timer is null after stop_renewing().
    if (!lease_timer_ || lease_timer_->lapsed())
        co_return;
    co_await release_left_shards();
    if (stopping_)
        co_return;
    const auto alive = co_await engines();
    callbacks_.polled(alive);
    co_await balance_shards(alive);
    co_await report_engine_changes(alive);
}

asio::awaitable<void> shard_manager::renew_leases()
{
    const auto started_at = shared_.clock.now();
    const auto lease_time = start_lease_timer();
    const auto shards = held_shards();
    if (!shards.empty()) {
        const auto renewed = co_await shared_.store.claim(shards, owner_, lease_duration_);
        std::vector<std::uint32_t> lost;
        for (const auto& held : leases()) {
            const auto same = std::ranges::find(renewed, held.shard, &lease::shard);
            // Another epoch means that another engine held the shard meanwhile. A late answer does
            // not count: another engine may hold the shard by now.
            if (same == renewed.end() || same->epoch != held.epoch || lease_time->lapsed())
                lost.push_back(held.shard);
        }
        drop_shards(lost);
    }
    renewed_at_ = started_at;
    lease_timer_ = lease_time;
    // After the shards, because a role may be locked by another session.
    co_await claim_engine_roles();
    co_await shared_.clock.follow_store(shared_.store);
}

std::shared_ptr<async::lease_timer> shard_manager::start_lease_timer()
{
    return async::lease_timer::start(shared_.clock, strand_, lease_duration_,
                                     [weak = weak_from_this()](const async::lease_timer& lapsed) {
                                         const auto self = weak.lock();
                                         if (self && self->lease_timer_.get() == &lapsed)
                                             self->drop_lapsed_shards();
                                     });
}

asio::awaitable<std::vector<core::engine_facts>> shard_manager::engines()
{
    const auto roles = co_await shared_.store.roles(engine_roles);
    std::vector<core::engine_facts> alive;
    for (const auto& role : roles) {
        const auto known = std::ranges::find(alive, role.owner, &core::engine_facts::name);
        auto& engine = known == alive.end() ? alive.emplace_back() : *known;
        engine.name = role.owner;
        read_role(role, engine);
    }
    std::ranges::sort(alive, {}, &core::engine_facts::name);
    co_return alive;
}

asio::awaitable<void> shard_manager::balance_shards(std::vector<core::engine_facts> alive)
{
    // This engine's own roles may have lapsed.
    std::erase_if(alive,
                  [this](const core::engine_facts& engine) { return engine.name == owner_; });
    alive.insert(std::ranges::upper_bound(alive, owner_, {}, &core::engine_facts::name),
                 own_facts());
    note_drivers(alive);
    const auto before = co_await shared_.store.leases();
    auto all = before;
    // A lease of this engine in the store that the engine does not hold: the answer to a claim was
    // lost, or the lease lapsed and nobody took it. The shard is claimed again or released, since
    // other engines see it as held.
    const auto held = leases();
    std::vector<lease> not_driven;
    for (auto& stored : all)
        if (stored.owner == owner_ &&
            std::ranges::find(held, stored.shard, &lease::shard) == held.end()) {
            not_driven.push_back(stored);
            stored.owner.clear();
        }
    const auto plan = core::plan_shards(all, shared_.store.shards(), alive, owner_);
    leave_shards(plan.release);
    std::erase_if(not_driven, [&](const lease& stored) {
        return std::ranges::find(plan.claim, stored.shard) != plan.claim.end();
    });
    if (!not_driven.empty())
        co_await shared_.store.release(std::move(not_driven));
    if (plan.claim.empty())
        co_return;
    const auto lease_time = start_lease_timer();
    const auto claimed = co_await shared_.store.claim(plan.claim, owner_, lease_duration_);
    // A late answer does not count; the next poll claims the shards again.
    if (!lease_time->lapsed())
        co_await acquire_shards(claimed, before);
}

/// Notes which workflows with newer data engines of a newer program drive.
void shard_manager::note_drivers(const std::vector<core::engine_facts>& alive)
{
    for (auto& [name, entry] : shared_.workflows) {
        if (!entry.too_old)
            continue;
        const auto engines = core::driving_engines(shared_.layout.shards_of(name).begin, alive);
        const bool others = std::ranges::find(engines, owner_) == engines.end();
        if (entry.left_to_others.exchange(others) == others)
            continue;
        log_entry line{log_level::info,
                       others ? "leaving the shards of the workflow to engines of a newer program"
                              : "no engine of a newer program is alive: acquiring shards of the "
                                "workflow again"};
        line.workflow = name;
        shared_.log(line);
    }
}

/// Once the set of engines has changed and has then stayed the same for the time of a lease, as
/// after a deployment: calls `engines_changed`, and removes the roles of engines that died.
asio::awaitable<void> shard_manager::report_engine_changes(std::vector<core::engine_facts> alive)
{
    std::vector<std::string> names;
    for (const auto& engine : alive)
        names.push_back(engine.name);
    const auto now = shared_.clock.steady();
    if (names != engines_) {
        engines_ = std::move(names);
        changed_at_ = now;
    } else if (changed_at_ && now - *changed_at_ >= lease_duration_) {
        co_await shared_.store.forget_roles(engine_roles);
        co_await callbacks_.engines_changed(alive);
        changed_at_.reset();
    }
}

/// Whether the previous owner probably ended without releasing the shard.
bool shard_manager::was_left(const lease& before) const
{
    const bool is_own =
        before.shard < last_epochs_.size() && last_epochs_[before.shard] == before.epoch;
    return !before.owner.empty() && !is_own;
}

/// @param before the leases of all shards before the claim.
asio::awaitable<void> shard_manager::acquire_shards(std::vector<lease> claimed,
                                                    const std::vector<lease>& before)
{
    std::vector<std::uint32_t> shards;
    last_epochs_.resize(shared_.epochs.size());
    for (const auto& previous : before)
        if (std::ranges::find(claimed, previous.shard, &lease::shard) != claimed.end())
            shared_.suspects->note_acquired_shard(previous.shard, was_left(previous));
    // Before the engine counts as the owner.
    ++shared_.acquisitions;
    shared_.active->outdate_records();
    for (const auto& acquired : claimed) {
        const std::lock_guard lock{mutex_};
        held_.push_back(acquired);
        last_epochs_[acquired.shard] = acquired.epoch;
        shared_.epochs[acquired.shard] = acquired.epoch;
        shards.push_back(acquired.shard);
    }
    if (shards.empty())
        co_return;
    if (shared_.store.shared())
        shared_.log({log_level::info, "acquired shards " + list_of(shards)});
    std::exception_ptr failure;
    try {
        co_await callbacks_.acquired(shards);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        drop_shards(shards);
        std::rethrow_exception(failure);
    }
}

/// Stops driving the shards, but holds them until their running handlers have ended.
void shard_manager::leave_shards(std::vector<std::uint32_t> shards)
{
    std::erase_if(shards, [this](std::uint32_t shard) {
        return std::ranges::find(leaving_, shard, &leaving_shard::number) != leaving_.end();
    });
    if (shards.empty())
        return;
    shared_.log({log_level::info, "releasing shards " + list_of(shards)});
    for (const auto& held : leases())
        if (std::ranges::find(shards, held.shard) != shards.end()) {
            shared_.epochs[held.shard] = 0;
            leaving_.push_back({held.shard, held, shared_.clock.now()});
        }
    callbacks_.dropped(shards);
}

asio::awaitable<void> shard_manager::release_left_shards()
{
    std::vector<lease> ended;
    std::vector<std::uint32_t> late;
    const auto now = shared_.clock.now();
    for (const auto& leaving : leaving_) {
        const auto waited = now - leaving.since;
        const bool in_time = waited >= duration::zero() && waited < shared_.cancellation_grace;
        const bool busy = callbacks_.busy(leaving.number);
        if (busy && in_time)
            continue;
        if (busy)
            late.push_back(leaving.number);
        ended.push_back(leaving.held);
    }
    if (ended.empty())
        co_return;
    if (!late.empty())
        callbacks_.interrupt(late);
    for (const auto& held : ended)
        forget_lease(held.shard);
    co_await shared_.store.release(std::move(ended));
}

/// The store has not renewed the leases in time: other engines may hold the shards.
void shard_manager::drop_lapsed_shards()
{
    reachable_ = false;
    drop_shards(held_shards());
}

void shard_manager::drop_shards(const std::vector<std::uint32_t>& lost)
{
    if (lost.empty())
        return;
    shared_.log({log_level::warn, "lost shards " + list_of(lost)});
    for (const auto shard : lost) {
        forget_lease(shard);
        shared_.epochs[shard] = 0;
    }
    callbacks_.dropped(lost);
    callbacks_.interrupt(lost);
}

void shard_manager::forget_lease(std::uint32_t shard)
{
    std::erase_if(leaving_, [&](const leaving_shard& l) { return l.number == shard; });
    const std::lock_guard lock{mutex_};
    std::erase_if(held_, [&](const lease& l) { return l.shard == shard; });
}

asio::awaitable<void> shard_manager::release_shards()
{
    try {
        auto held = leases();
        {
            const std::lock_guard lock{mutex_};
            held_.clear();
        }
        for (const auto& released : held)
            shared_.epochs[released.shard] = 0;
        co_await shared_.store.release(std::move(held));
        if (shared_.store.shared()) {
            for (const auto& name : roles_)
                co_await release_role(name);
            co_await shared_.store.forget_roles(engine_roles);
        }
    } catch (...) {
        shared_.log({log_level::warn,
                     "cannot release shards: " + detail::exception_text(std::current_exception())});
    }
}

std::vector<lease> shard_manager::leases() const
{
    const std::lock_guard lock{mutex_};
    return held_;
}

std::vector<std::uint32_t> shard_manager::held_shards() const
{
    std::vector<std::uint32_t> shards;
    for (const auto& held : leases())
        shards.push_back(held.shard);
    return shards;
}

} // namespace pawl::engine_detail
