#include "engine/cluster/shard_manager.hpp"

#include "core/shard_plan.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Begins the names of the roles by which an engine shows that it is alive. Its own name follows,
/// then '/' and the first shards of workflows that it has; with too_old_mark if it is too old for
/// one.
constexpr std::string_view engine_roles = "pawl.engine/";

constexpr char too_old_mark = '!';

/// The workflows that one such role names.
constexpr std::size_t workflows_in_role = 64;

/// How often an engine looks for shards that nobody has, at least.
constexpr duration look_interval = std::chrono::seconds{1};

std::string list_of(const std::vector<std::uint32_t>& shards)
{
    return fmt::format("{}", fmt::join(shards, ", "));
}

/// The roles of an engine. One without workflows has one too.
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

/// What such a role says of its engine. Numbers that cannot be read are passed over.
void read_role(const role_lease& role, core::engine_facts& into)
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
        into.workflows.push_back(first);
        if (too_old)
            into.too_old.push_back(first);
    }
}

} // namespace

/// The time of the leases, counted from before they were asked for, and on a steady clock: the wall
/// clock may be set meanwhile.
struct shard_manager::lapse {
    std::unique_ptr<timer> clock;
    bool over = false;
};

shard_manager::shard_manager(engine_parts& shared, std::string owner, duration lease_duration,
                             handlers told)
    : shared_(shared), owner_(std::move(owner)), lease_time_(lease_duration),
      told_(std::move(told)), strand_(asio::make_strand(shared.executor)),
      timer_(shared.clock.make_timer(strand_))
{
}

asio::awaitable<void> shard_manager::claim_first()
{
    if (shared_.store.shared()) {
        renewed_at_ = shared_.clock.now();
        co_await show_alive();
        // Of engines that have ended, or died.
        co_await shared_.store.forget_roles(engine_roles);
        co_return;
    }
    std::vector<std::uint32_t> all(shared_.store.shards());
    std::iota(all.begin(), all.end(), 0);
    const auto before = co_await shared_.store.leases();
    auto claimed = co_await shared_.store.claim(all, owner_, lease_time_);
    for (const auto shard : all) {
        if (std::ranges::find(claimed, shard, &lease::shard) != claimed.end())
            continue;
        co_await shared_.store.release(std::move(claimed));
        throw error(errc::fenced, fmt::format("shard {} of the store", shard));
    }
    co_await take(std::move(claimed), before);
}

core::engine_facts shard_manager::own_facts() const
{
    core::engine_facts own{owner_, {}, {}};
    for (const auto& [workflow, first] : shared_.layout.first_shards()) {
        own.workflows.push_back(first);
        if (shared_.workflows.find(workflow)->second.too_old)
            own.too_old.push_back(first);
    }
    return own;
}

/// The roles that are no longer true go once the new ones are there: between, it is too old.
asio::awaitable<void> shard_manager::show_alive()
{
    auto before = std::exchange(roles_, roles_of(own_facts()));
    for (const auto& role : roles_) {
        co_await shared_.store.claim_role(role, owner_, lease_time_);
        std::erase(before, role);
    }
    for (const auto& role : before)
        co_await give_back_role(role);
}

asio::awaitable<void> shard_manager::give_back_role(std::string name)
{
    const auto role = co_await shared_.store.claim_role(std::move(name), owner_, lease_time_);
    if (role)
        co_await shared_.store.release_role(*role);
}

void shard_manager::start()
{
    if (shared_.store.shared())
        shared_.background.spawn(strand_, keep());
}

void shard_manager::stop()
{
    stopping_ = true;
}

void shard_manager::let_go()
{
    ending_ = true;
    recheck_leases();
    asio::post(strand_, [self = shared_from_this()] { self->lapse_.reset(); });
}

void shard_manager::recheck_leases()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> shard_manager::keep()
{
    lapse_ = begin_lapse();
    while (!ending_) {
        std::exception_ptr failure;
        try {
            co_await look();
        } catch (...) {
            failure = std::current_exception();
        }
        reachable_ = !failure;
        if (failure)
            shared_.log({log_level::warn,
                         "cannot renew the leases of shards: " + detail::exception_text(failure)});
        co_await sleep(std::min(look_interval, lease_time_ / 3));
    }
    lapse_.reset();
}

asio::awaitable<void> shard_manager::sleep(duration span)
{
    if (!woken_ && !ending_)
        co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
            [](auto handler, timer* waiting, duration length) {
                waiting->wait(length, std::move(handler));
            },
            asio::use_awaitable, timer_.get(), span);
}

asio::awaitable<void> shard_manager::look()
{
    const auto now = shared_.clock.now();
    // A clock that was set back must not put a renewal off.
    const bool is_due = now - renewed_at_ >= lease_time_ / 3 || now < renewed_at_ || lapse_->over;
    if (woken_.exchange(false) || is_due)
        co_await renew();
    co_await give_back_left();
    if (stopping_)
        co_return;
    const auto alive = co_await engines();
    co_await balance(alive);
    co_await look_at_others(alive);
}

asio::awaitable<void> shard_manager::renew()
{
    const auto begun = shared_.clock.now();
    const auto time = begin_lapse();
    co_await show_alive();
    auto wanted = held_shards();
    if (!wanted.empty()) {
        const auto renewed = co_await shared_.store.claim(wanted, owner_, lease_time_);
        std::vector<std::uint32_t> lost;
        for (const auto& mine : leases()) {
            const auto same = std::ranges::find(renewed, mine.shard, &lease::shard);
            // Under another epoch somebody else had it meanwhile. An answer that came too late says
            // nothing of the present.
            if (same == renewed.end() || same->epoch != mine.epoch || time->over)
                lost.push_back(mine.shard);
        }
        drop(lost);
    }
    renewed_at_ = begun;
    lapse_ = time;
    co_await shared_.clock.follow_store(shared_.store);
}

std::shared_ptr<shard_manager::lapse> shard_manager::begin_lapse()
{
    const auto begun = std::make_shared<lapse>();
    begun->clock = shared_.clock.make_timer(strand_);
    const auto end = [weak = weak_from_this(), ended = std::weak_ptr{begun}] {
        const auto self = weak.lock();
        const auto time = ended.lock();
        if (!self || !time)
            return;
        time->over = true;
        if (self->lapse_ == time)
            self->drop_lapsed();
    };
    begun->clock->wait(lease_time_, asio::bind_executor(strand_, end));
    return begun;
}

asio::awaitable<std::vector<core::engine_facts>> shard_manager::engines()
{
    const auto roles = co_await shared_.store.roles(engine_roles);
    std::vector<core::engine_facts> alive;
    for (const auto& each : roles) {
        const auto known = std::ranges::find(alive, each.owner, &core::engine_facts::name);
        auto& engine = known == alive.end() ? alive.emplace_back() : *known;
        engine.name = each.owner;
        read_role(each, engine);
    }
    std::ranges::sort(alive, {}, &core::engine_facts::name);
    co_return alive;
}

asio::awaitable<void> shard_manager::balance(std::vector<core::engine_facts> alive)
{
    // Its own roles may have lapsed.
    std::erase_if(alive, [this](const core::engine_facts& each) { return each.name == owner_; });
    alive.insert(std::ranges::upper_bound(alive, owner_, {}, &core::engine_facts::name),
                 own_facts());
    note_drivers(alive);
    const auto before = co_await shared_.store.leases();
    auto all = before;
    // A claim whose answer did not come, or a lease that lapsed and nobody took: is claimed again,
    // or given back, since to others it looks held.
    const auto mine = leases();
    std::vector<lease> not_driven;
    for (auto& each : all)
        if (each.owner == owner_ &&
            std::ranges::find(mine, each.shard, &lease::shard) == mine.end()) {
            not_driven.push_back(each);
            each.owner.clear();
        }
    const auto plan = core::plan_shards(all, shared_.store.shards(), alive, owner_);
    leave(plan.release);
    std::erase_if(not_driven, [&](const lease& each) {
        return std::ranges::find(plan.claim, each.shard) != plan.claim.end();
    });
    if (!not_driven.empty())
        co_await shared_.store.release(std::move(not_driven));
    if (plan.claim.empty())
        co_return;
    const auto time = begin_lapse();
    const auto claimed = co_await shared_.store.claim(plan.claim, owner_, lease_time_);
    // An answer that came too late says nothing of the present: the next look claims them again.
    if (!time->over)
        co_await take(claimed, before);
}

/// Which workflows others drive, being new enough for them.
void shard_manager::note_drivers(const std::vector<core::engine_facts>& alive)
{
    for (auto& [name, entry] : shared_.workflows) {
        if (!entry.too_old)
            continue;
        const auto engines = core::driving_engines(shared_.layout.of(name).begin, alive);
        const bool others = std::ranges::find(engines, owner_) == engines.end();
        if (entry.left_to_others.exchange(others) == others)
            continue;
        log_entry line{log_level::info,
                       others ? "the shards of the workflow are left to engines of a newer program"
                              : "no engine of a newer program is alive: takes shards of the "
                                "workflow again"};
        line.workflow = name;
        shared_.log(line);
    }
}

/// When engines have come or gone and it has been quiet since then, as after a deployment: tells of
/// it, and forgets the roles of those that died.
asio::awaitable<void> shard_manager::look_at_others(std::vector<core::engine_facts> alive)
{
    std::vector<std::string> names;
    for (const auto& each : alive)
        names.push_back(each.name);
    const auto now = shared_.clock.steady();
    if (names != engines_) {
        engines_ = std::move(names);
        changed_at_ = now;
    } else if (changed_at_ && now - *changed_at_ >= lease_time_) {
        co_await shared_.store.forget_roles(engine_roles);
        co_await told_.engines_changed(alive);
        changed_at_.reset();
    }
}

/// Whether the owner has ended without giving the shard back, as far as can be known.
bool shard_manager::was_left(const lease& before) const
{
    const bool is_own =
        before.shard < last_epochs_.size() && last_epochs_[before.shard] == before.epoch;
    return !before.owner.empty() && !is_own;
}

/// `before`: the shards' leases as they were then.
asio::awaitable<void> shard_manager::take(std::vector<lease> claimed,
                                          const std::vector<lease>& before)
{
    std::vector<std::uint32_t> shards;
    last_epochs_.resize(shared_.epochs.size());
    for (const auto& each : before)
        if (std::ranges::find(claimed, each.shard, &lease::shard) != claimed.end())
            shared_.suspects->note_acquired_shard(each.shard, was_left(each));
    for (const auto& each : claimed) {
        const std::lock_guard lock{mutex_};
        held_.push_back(each);
        last_epochs_[each.shard] = each.epoch;
        shared_.epochs[each.shard] = each.epoch;
        shards.push_back(each.shard);
    }
    if (shards.empty())
        co_return;
    if (shared_.store.shared())
        shared_.log({log_level::info, "takes shards " + list_of(shards)});
    std::exception_ptr failure;
    try {
        co_await told_.taken(shards);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        drop(shards);
        std::rethrow_exception(failure);
    }
}

/// The shards are driven no more, but stay held until what runs has ended.
void shard_manager::leave(std::vector<std::uint32_t> shards)
{
    std::erase_if(shards, [this](std::uint32_t shard) {
        return std::ranges::find(leaving_, shard, &leaving_shard::number) != leaving_.end();
    });
    if (shards.empty())
        return;
    shared_.log({log_level::info, "gives shards back: " + list_of(shards)});
    for (const auto& each : leases())
        if (std::ranges::find(shards, each.shard) != shards.end()) {
            shared_.epochs[each.shard] = 0;
            leaving_.push_back({each.shard, each, shared_.clock.now()});
        }
    told_.dropped(shards);
}

asio::awaitable<void> shard_manager::give_back_left()
{
    std::vector<lease> over;
    std::vector<std::uint32_t> late;
    const auto now = shared_.clock.now();
    for (const auto& each : leaving_) {
        const auto waited = now - each.since;
        const bool in_time = waited >= duration::zero() && waited < shared_.cancellation_grace;
        const bool busy = told_.busy(each.number);
        if (busy && in_time)
            continue;
        if (busy)
            late.push_back(each.number);
        over.push_back(each.held);
    }
    if (over.empty())
        co_return;
    if (!late.empty())
        told_.interrupt(late);
    for (const auto& each : over)
        forget(each.shard);
    co_await shared_.store.release(std::move(over));
}

/// Nobody has answered for so long that others may have the shards.
void shard_manager::drop_lapsed()
{
    reachable_ = false;
    drop(held_shards());
}

void shard_manager::drop(const std::vector<std::uint32_t>& lost)
{
    if (lost.empty())
        return;
    shared_.log({log_level::warn, "has lost shards " + list_of(lost)});
    for (const auto shard : lost) {
        forget(shard);
        shared_.epochs[shard] = 0;
    }
    told_.dropped(lost);
    told_.interrupt(lost);
}

void shard_manager::forget(std::uint32_t shard)
{
    std::erase_if(leaving_, [&](const leaving_shard& l) { return l.number == shard; });
    const std::lock_guard lock{mutex_};
    std::erase_if(held_, [&](const lease& l) { return l.shard == shard; });
}

asio::awaitable<void> shard_manager::release()
{
    try {
        auto held = leases();
        {
            const std::lock_guard lock{mutex_};
            held_.clear();
        }
        for (const auto& each : held)
            shared_.epochs[each.shard] = 0;
        co_await shared_.store.release(std::move(held));
        if (shared_.store.shared()) {
            for (const auto& name : roles_)
                co_await give_back_role(name);
            co_await shared_.store.forget_roles(engine_roles);
        }
    } catch (...) {
        shared_.log({log_level::warn, "cannot give shards back: " +
                                          detail::exception_text(std::current_exception())});
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
    for (const auto& each : leases())
        shards.push_back(each.shard);
    return shards;
}

} // namespace pawl::engine_detail
