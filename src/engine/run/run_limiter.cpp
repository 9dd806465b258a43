#include "engine/run/run_limiter.hpp"

#include "definition/check_definition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace pawl::engine_detail {

namespace {

/// How often a lane is passed over before it keeps what it can get.
constexpr int patience = 8;

} // namespace

limited_step* run_limiter::add_step(const detail::workflow_impl& workflow,
                                    const status_rules& status, std::size_t max_active_runs,
                                    std::size_t max_limited_runs)
{
    if (!status.step || (status.step->limits.empty() && status.step->max_concurrency == 0))
        return nullptr;
    const auto& rules = *status.step;
    const bool has_keys =
        rules.takes_turns || std::ranges::any_of(rules.limits, &step_limit::keyed);
    auto step =
        std::make_unique<limited_step>(has_keys ? max_limited_runs : max_active_runs, has_keys);
    step->handlers = &workflow.handlers.at(status.id);
    step->has_keys = has_keys;
    for (const auto& used : rules.limits)
        step->limits.push_back(&registry_.add(
            used,
            fmt::format("workflow \"{}\", status {}: its step's limit \"{}\"", workflow.rules.name,
                        core::status_name(status.label, status.id), used.name)));
    if (rules.max_concurrency > 0)
        step->limits.push_back(&registry_.add_max_concurrency(rules.max_concurrency));
    for (auto* const used : step->limits) {
        used->takes_turns = used->takes_turns || rules.takes_turns;
        step->bounds_concurrency =
            step->bounds_concurrency || used->declared.concurrency.has_value();
    }
    return steps_.emplace_back(std::move(step)).get();
}

lane_key run_limiter::keys_of(const limited_step& step, const detail::object_ptr& object)
{
    lane_key key;
    if (!step.has_keys)
        return key;
    for (const auto& read : step.handlers->limit_keys)
        key.limits.push_back(read ? read(object) : std::string{});
    if (step.handlers->turn_key)
        key.turn = step.handlers->turn_key(object);
    return key;
}

/// The pools of the limits that apply.
std::vector<limit_pool*> run_limiter::pools_of(limited_step& step, const lane_key& key)
{
    std::vector<limit_pool*> pools;
    pools.reserve(step.limits.size());
    for (std::size_t i = 0; i < step.limits.size(); ++i) {
        if (i >= key.limits.size())
            pools.push_back(&registry_.pool_of(*step.limits[i], {}, now()));
        else if (key.limits[i])
            pools.push_back(&registry_.pool_of(*step.limits[i], *key.limits[i], now()));
    }
    return pools;
}

/// Takes a permit unless a limit has none or runs wait for it.
std::optional<step_permit> run_limiter::take(limited_step& step, const lane_key& key)
{
    if (!is_free(step, key))
        return std::nullopt;
    step_permit permit{&step, key, pools_of(step, key), false};
    for (auto* const pool : permit.pools)
        pool->take(now());
    return permit;
}

bool run_limiter::is_free(limited_step& step, const lane_key& key)
{
    if (step.line.find_lane(key))
        return false;
    const auto pools = pools_of(step, key);
    return std::ranges::all_of(pools, [&](limit_pool* pool) {
        return pool->waiting.empty() && pool->find_shortage(now()) == limit_pool::shortage::none;
    });
}

std::optional<step_permit> run_limiter::try_acquire(limited_step& step, const lane_key& key)
{
    const std::lock_guard lock{mutex_};
    if (!step.has_keys && step.line.has_overflow())
        return std::nullopt;
    return take(step, key);
}

std::optional<step_permit> run_limiter::acquire_or_wait(limited_step& step, const lane_key& key,
                                                        std::uint32_t shard,
                                                        const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (!step.line.is_behind_overflow(position))
        if (auto permit = take(step, key))
            return permit;
    enqueue(step, key, shard, position);
    return std::nullopt;
}

bool run_limiter::wait_for_permit(limited_step& step, const lane_key& key, std::uint32_t shard,
                                  const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (!step.line.is_behind_overflow(position) && is_free(step, key))
        return false;
    enqueue(step, key, shard, position);
    return true;
}

void run_limiter::enqueue(limited_step& step, const lane_key& key, std::uint32_t shard,
                          const due_position& position)
{
    const auto* known = step.line.find_run(position.id);
    if (!known && step.line.is_behind_overflow(position)) {
        step.line.add_overflow(shard, position);
        return;
    }
    if (known && known->position == position && *known->lane->key == key)
        return;
    settle(step.line.remove(position.id));
    auto& lane = open_lane(step, key);
    auto* const trimmed = step.line.add(lane, shard, position);
    if (trimmed != &lane)
        settle(trimmed);
    settle(&lane);
}

waiting_lane& run_limiter::open_lane(limited_step& step, const lane_key& key)
{
    auto& lane = step.line.open_lane(key);
    if (!lane.step) {
        lane.step = &step;
        lane.pools = pools_of(step, key);
        for (auto* const pool : lane.pools)
            ++pool->lanes;
    }
    return lane;
}

/// Runs of the lane have come or gone.
void run_limiter::settle(waiting_lane* lane)
{
    if (!lane)
        return;
    if (lane->runs.empty())
        close(*lane);
    else if (!lane->waits_for || !(lane->order.first == lane->runs.begin()->first))
        place(*lane);
}

void run_limiter::close(waiting_lane& lane)
{
    detach(lane);
    if (holder_ == &lane)
        holder_ = nullptr;
    for (auto* const pool : std::exchange(lane.held, {})) {
        pool->release(true, now());
        queue_pool(*pool);
    }
    for (auto* const pool : lane.pools)
        --pool->lanes;
    lane.step->line.close_lane(lane);
}

/// Lets the lane wait for the first pool that it cannot have.
void run_limiter::place(waiting_lane& lane)
{
    auto* const missing = find_short_pool(lane);
    attach(lane, missing ? *missing : *lane.pools.front());
}

/// Of the pools that the lane does not hold, the first without a permit; null if it has all.
limit_pool* run_limiter::find_short_pool(const waiting_lane& lane)
{
    const auto missing = std::ranges::find_if(lane.pools, [&](limit_pool* pool) {
        return std::ranges::find(lane.held, pool) == lane.held.end() &&
               pool->find_shortage(now()) != limit_pool::shortage::none;
    });
    return missing == lane.pools.end() ? nullptr : *missing;
}

void run_limiter::attach(waiting_lane& lane, limit_pool& pool)
{
    // A lane without a turn waits behind the lanes that have not had theirs.
    const auto turn = !pool.limit.takes_turns   ? 0
                      : lane.waits_for == &pool ? lane.order.turn
                                                : pool.turn + 1;
    detach(lane);
    lane.order = {turn, lane.runs.begin()->first, &lane};
    lane.waits_for = &pool;
    pool.waiting.insert(lane.order);
    queue_pool(pool);
}

void run_limiter::detach(waiting_lane& lane)
{
    if (auto* const pool = std::exchange(lane.waits_for, nullptr))
        pool->waiting.erase(lane.order);
}

void run_limiter::queue_pool(limit_pool& pool)
{
    if (pool.waiting.empty() || pool.is_queued)
        return;
    const auto shortage = pool.find_shortage(now());
    if (shortage == limit_pool::shortage::concurrency && pool.limit.leased && on_demand_)
        on_demand_();
    if (shortage != limit_pool::shortage::none) {
        watch_pool(pool);
        return;
    }
    stop_watching(pool);
    pool.is_queued = true;
    queued_pools_.push_back(&pool);
}

/// Looks at the pool again when it has a token.
void run_limiter::watch_pool(limit_pool& pool)
{
    const auto at = pool.waiting.empty() ? std::nullopt : pool.next_token(now());
    if (at == pool.wake_at)
        return;
    stop_watching(pool);
    pool.wake_at = at;
    if (at)
        wakes_.emplace(*at, &pool);
}

void run_limiter::stop_watching(limit_pool& pool)
{
    if (const auto at = std::exchange(pool.wake_at, std::nullopt)) {
        const auto [first, last] = wakes_.equal_range(*at);
        wakes_.erase(
            std::find_if(first, last, [&](const auto& entry) { return entry.second == &pool; }));
    }
}

std::optional<duration> run_limiter::next_wake() const
{
    const std::lock_guard lock{mutex_};
    return wakes_.empty() ? std::nullopt : std::optional{wakes_.begin()->first};
}

void run_limiter::release(step_permit released)
{
    const std::lock_guard lock{mutex_};
    for (auto* const pool : released.pools) {
        pool->release(!released.used, now());
        queue_pool(*pool);
    }
}

void run_limiter::put_back(grant refused)
{
    const std::lock_guard lock{mutex_};
    enqueue(*refused.permit.step, refused.permit.key, refused.shard, refused.position);
    for (auto* const pool : refused.permit.pools) {
        pool->release(true, now());
        queue_pool(*pool);
    }
}

std::optional<run_limiter::grant> run_limiter::next_grant()
{
    const std::lock_guard lock{mutex_};
    while (!wakes_.empty() && wakes_.begin()->first <= now()) {
        auto& pool = *wakes_.begin()->second;
        stop_watching(pool);
        queue_pool(pool);
    }
    while (!queued_pools_.empty()) {
        auto& pool = *queued_pools_.front();
        auto* const lane = next_lane(pool);
        if (!lane) {
            queued_pools_.pop_front();
            pool.is_queued = false;
            queue_pool(pool); // watches it if it lacks a token
            continue;
        }
        if (auto granted = serve(*lane, pool))
            return granted;
    }
    return std::nullopt;
}

/// The lane that gets the next permit of the pool; null if the pool has none, or no lane waits.
waiting_lane* run_limiter::next_lane(limit_pool& pool)
{
    if (pool.waiting.empty() || pool.find_shortage(now()) != limit_pool::shortage::none)
        return nullptr;
    return holder_ && holder_->waits_for == &pool ? holder_ : pool.waiting.begin()->lane;
}

/// Gives the first run of the lane a permit, or lets the lane wait for another pool.
std::optional<run_limiter::grant> run_limiter::serve(waiting_lane& lane, limit_pool& pool)
{
    if (auto* const missing = find_short_pool(lane)) {
        ++lane.passed_over;
        if (may_hold(lane, pool, *missing)) {
            holder_ = &lane;
            lane.held.push_back(&pool);
            pool.take(now());
        }
        attach(lane, *missing);
        return std::nullopt;
    }
    for (auto* const needed : lane.pools)
        if (std::ranges::find(lane.held, needed) == lane.held.end())
            needed->take(now());
    pool.turn = std::max(pool.turn, lane.order.turn);
    detach(lane);
    lane.held.clear();
    lane.passed_over = 0;
    if (holder_ == &lane)
        holder_ = nullptr;
    grant granted;
    granted.permit = {lane.step, *lane.key, lane.pools, false};
    std::tie(granted.position, granted.shard) = lane.step->line.pop(lane);
    settle(&lane);
    return granted;
}

/// Whether a lane keeps a permit of `gained` while it waits for `missing`. Concurrency is not kept
/// for a token that is far away: the lane keeps that token when it comes.
bool run_limiter::may_hold(const waiting_lane& lane, limit_pool& gained, limit_pool& missing)
{
    if (lane.passed_over < patience || (holder_ && holder_ != &lane))
        return false;
    return !gained.limit.numbers.concurrency || missing.frees_soon(now());
}

std::optional<waiting_line::refill_request> run_limiter::refill_from(limited_step& step)
{
    const std::lock_guard lock{mutex_};
    return step.line.refill_from();
}

bool run_limiter::is_short(const limited_step& step) const
{
    const std::lock_guard lock{mutex_};
    return step.line.is_short();
}

run_limiter::refill_result run_limiter::refill(limited_step& step, const lane_key& key,
                                               std::uint32_t shard, const due_position& position,
                                               step_permit& permit)
{
    const std::lock_guard lock{mutex_};
    if (step.line.contains(position.id))
        return refill_result::queued;
    if (auto taken = take(step, key)) {
        permit = std::move(*taken);
        return refill_result::granted;
    }
    if (step.line.is_full())
        return refill_result::full;
    auto& lane = open_lane(step, key);
    step.line.add(lane, shard, position);
    settle(&lane);
    return refill_result::queued;
}

void run_limiter::end_refill(limited_step& step, const waiting_line::read_positions& read)
{
    const std::lock_guard lock{mutex_};
    step.line.end_refill(read);
}

void run_limiter::forget_shard(std::uint32_t shard)
{
    const std::lock_guard lock{mutex_};
    for (const auto& step : steps_)
        for (auto* const lane : step->line.forget_shard(shard))
            settle(lane);
}

std::vector<limit_info> run_limiter::list() const
{
    const std::lock_guard lock{mutex_};
    auto all = registry_.list();
    for (const auto& step : steps_)
        for (const auto* used : step->limits)
            for (auto& info : all)
                info.more_wait =
                    info.more_wait || (info.name == used->name && step->line.has_overflow());
    return all;
}

bool run_limiter::has_limits() const
{
    const std::lock_guard lock{mutex_};
    return !registry_.limits().empty();
}

bool run_limiter::has_limit(const std::string& name) const
{
    const std::lock_guard lock{mutex_};
    return registry_.limits().contains(name);
}

std::uint64_t run_limiter::begin_reading()
{
    const std::lock_guard lock{mutex_};
    return ++tickets_;
}

void run_limiter::set_numbers(std::uint64_t ticket, const limit_numbers& numbers)
{
    const std::lock_guard lock{mutex_};
    if (ticket < numbers_of_)
        return;
    numbers_of_ = ticket;
    for (const auto& [name, limit] : registry_.limits()) {
        const auto set = numbers.find(name);
        const auto wanted = set == numbers.end() ? limit->declared : set->second;
        limit->overridden = set != numbers.end();
        if (wanted == limit->numbers)
            continue;
        limit->numbers = wanted;
        apply_numbers(*limit);
    }
}

void run_limiter::share_limits(std::function<void()> on_demand)
{
    const std::lock_guard lock{mutex_};
    on_demand_ = std::move(on_demand);
    for (const auto& [name, limit] : registry_.limits()) {
        limit->leased = true;
        limit->share = 0;
    }
}

void run_limiter::set_share(double share)
{
    const std::lock_guard lock{mutex_};
    for (const auto& [name, limit] : registry_.limits()) {
        limit->share = share;
        apply_numbers(*limit);
    }
}

/// The rule of the limit has changed.
void run_limiter::apply_numbers(engine_limit& limit)
{
    for (const auto& [key, pool] : limit.pools) {
        pool->apply_numbers(now());
        queue_pool(*pool);
    }
}

std::size_t run_limiter::set_leased(const std::string& limit, const std::string& key,
                                    std::size_t runs)
{
    const std::lock_guard lock{mutex_};
    auto& pools = registry_.limits().at(limit)->pools;
    const auto pool = pools.find(key);
    if (pool == pools.end())
        return 0;
    pool->second->leased = runs;
    queue_pool(*pool->second);
    return pool->second->running;
}

void run_limiter::drop_leased()
{
    const std::lock_guard lock{mutex_};
    for (const auto& [name, limit] : registry_.limits())
        for (const auto& [key, pool] : limit->pools)
            pool->leased = 0;
}

std::vector<pool_demand> run_limiter::pool_demands() const
{
    const std::lock_guard lock{mutex_};
    std::vector<pool_demand> demands;
    for (const auto& [name, limit] : registry_.limits()) {
        if (!limit->leased || !limit->numbers.concurrency)
            continue;
        for (const auto& [key, pool] : limit->pools) {
            pool_demand demand{name, key, static_cast<std::size_t>(*limit->numbers.concurrency),
                               pool->running, 0};
            for (const auto& order : pool->waiting)
                demand.waiting += order.lane->runs.size();
            if (demand.running > 0 || demand.waiting > 0)
                demands.push_back(std::move(demand));
        }
    }
    return demands;
}

std::optional<limit_wait> run_limiter::explain(run_id run) const
{
    const std::lock_guard lock{mutex_};
    for (const auto& step : steps_) {
        const auto* const known = step->line.find_run(run);
        if (!known)
            continue;
        const auto& pool = *known->lane->waits_for;
        limit_wait wait{pool.limit.name, pool.key, 0};
        for (const auto& other : pool.waiting)
            wait.before += static_cast<std::size_t>(std::ranges::distance(
                other.lane->runs.begin(), other.lane->runs.lower_bound({known->position, 0})));
        return wait;
    }
    return std::nullopt;
}

std::optional<due_position> run_limiter::first_waiting() const
{
    const std::lock_guard lock{mutex_};
    std::optional<due_position> earliest;
    for (const auto& step : steps_)
        if (const auto first = step->line.first_waiting())
            earliest = std::min(earliest.value_or(*first), *first);
    return earliest;
}

} // namespace pawl::engine_detail
