#include "engine/run/active_runs.hpp"

#include "core/message_acceptance.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "engine/run/activation.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/run_worker.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

/// Exists while a handler waits.
class active_runs::handler_wait {
public:
    handler_wait(active_runs& runs, std::weak_ptr<activation> holder, std::uint64_t handler)
        : runs_(runs), holder_(std::move(holder)), handler_(handler)
    {
    }

    ~handler_wait()
    {
        // An activation keeps the engine alive.
        if (const auto alive = holder_.lock())
            runs_.end_wait(*alive, handler_);
    }

    handler_wait(const handler_wait&) = delete;
    handler_wait& operator=(const handler_wait&) = delete;

private:
    active_runs& runs_;
    const std::weak_ptr<activation> holder_;
    const std::uint64_t handler_;
};

bool active_runs::is_urgent(const record& current, time_point now)
{
    if (!core::is_active(current.state) || current.inbox_pending > 0)
        return true;
    return std::ranges::any_of(current.deadlines,
                               [&](const deadline& armed) { return armed.at <= now; });
}

active_runs::begin_result active_runs::begin(record current, std::uint64_t noted, bool inside_call,
                                             bool has_turn)
{
    // A run that was stored while the engine drains runs after the next start, here or elsewhere.
    if (!shared_.owns(shared_.shard_of(current)) || shared_.stopping)
        return begin_result::not_owner;
    const auto id = current.id;
    const auto inbox_last = current.inbox_last;
    const bool urgent = !has_turn && is_urgent(current, shared_.clock.now());
    const auto kind = urgent ? admission::urgent : admission::step;
    std::optional<record> known{std::move(current)};
    std::shared_ptr<activation> active;
    {
        const std::lock_guard lock{mutex_};
        const auto end = ended_.find(id);
        if (noted < forgotten_ || (end != ended_.end() && end->second > noted))
            known.reset();
        const auto until = passed_over_.find(id);
        if (until != passed_over_.end()) {
            const auto now = shared_.clock.now();
            // A clock that was set back must not delay the run.
            if (until->second > now && until->second <= now + too_old_pause)
                return begin_result::passed_over;
            passed_over_.erase(until);
        }
        if (const auto found = runs_.find(id); found != runs_.end())
            active = found->second;
    }
    if (active) {
        active->check_inbox(inbox_last);
        return begin_result::already_active;
    }
    const auto fresh = std::make_shared<activation>(shared_, id, std::move(known));
    const auto result = admit(fresh, kind);
    if (result != begin_result::yes)
        return result;
    if (inside_call)
        fresh->worker->drive_later(fresh);
    else
        fresh->worker->drive(fresh);
    return result;
}

active_runs::begin_result active_runs::begin_urgent(run_id run)
{
    const auto fresh = std::make_shared<activation>(shared_, run, std::nullopt);
    fresh->serves_messages_ = shared_.stopping.load();
    const auto result = admit(fresh, admission::urgent);
    if (result == begin_result::yes)
        fresh->worker->drive_later(fresh);
    return result;
}

active_runs::begin_result active_runs::admit(const std::shared_ptr<activation>& fresh,
                                             admission kind)
{
    {
        const std::lock_guard lock{mutex_};
        if (runs_.contains(fresh->id()))
            return begin_result::already_active;
        const bool step_is_free = taken_.steps < shared_.max_active_runs;
        auto wanted = place::step;
        if (kind == admission::urgent && taken_.urgent < shared_.urgent_runs)
            wanted = place::urgent;
        else if (kind != admission::granted && !step_is_free)
            return begin_result::full;
        runs_.emplace(fresh->id(), fresh);
        take_place(*fresh, wanted);
        fresh->worker = take_worker();
    }
    fresh->failures_ = shared_.due->take_failures(fresh->id());
    return begin_result::yes;
}

void active_runs::take_place(activation& holder, place wanted)
{
    holder.place_ = wanted;
    taken_.steps += wanted == place::step;
    taken_.urgent += wanted == place::urgent;
    taken_.waiting += wanted == place::waiting;
}

void active_runs::release_place(activation& holder)
{
    const auto held = holder.place_.exchange(place::none);
    taken_.steps -= held == place::step;
    taken_.urgent -= held == place::urgent;
    taken_.waiting -= held == place::waiting;
    taken_.freed += held == place::step;
    taken_.freed_urgent += held == place::urgent;
}

bool active_runs::take_step_place(activation& holder)
{
    if (holder.place_ == place::step)
        return true;
    {
        const std::lock_guard lock{mutex_};
        if (taken_.steps >= shared_.max_active_runs || shared_.due->runs_wait())
            return false;
        release_place(holder);
        take_place(holder, place::step);
    }
    shared_.due->notify_place_freed();
    return true;
}

/// The activation whose handler has the executor and calls. Under the lock.
std::shared_ptr<activation>
active_runs::find_handler(const boost::asio::any_completion_executor& executor) const
{
    const auto* const strand = executor.target<run_worker_executor>();
    if (!strand || !strand->running_in_this_thread())
        return nullptr;
    const auto known = workers_.find(strand->worker());
    const auto worker = known == workers_.end() ? nullptr : known->second.lock();
    if (!worker || !worker->has_executor(*strand) || !worker->at_work())
        return nullptr;
    const auto active = runs_.find(worker->at_work()->id());
    if (active == runs_.end() || active->second.get() != worker->at_work())
        return nullptr;
    return active->second;
}

std::optional<run_id>
active_runs::run_of_handler(const boost::asio::any_completion_executor& executor) const
{
    const std::lock_guard lock{mutex_};
    const auto caller = find_handler(executor);
    return caller && caller->context_.is_open() ? std::optional{caller->id()} : std::nullopt;
}

std::shared_ptr<void> active_runs::begin_wait(const boost::asio::any_completion_executor& executor)
{
    std::shared_ptr<void> wait;
    {
        const std::lock_guard lock{mutex_};
        const auto active = find_handler(executor);
        if (!active)
            return nullptr;
        auto& holder = *active;
        if (holder.waits_ == 0 && taken_.waiting >= shared_.max_waiting_handlers)
            return nullptr;
        if (holder.waits_++ == 0) {
            release_place(holder);
            take_place(holder, place::waiting);
        }
        wait = std::make_shared<handler_wait>(*this, active, holder.handler_waits_);
    }
    shared_.due->notify_place_freed();
    return wait;
}

/// The handler continues at once, because other runs may depend on it. Until a handler ends, more
/// places may be taken than exist.
void active_runs::end_wait(activation& holder, std::uint64_t handler)
{
    const std::lock_guard lock{mutex_};
    if (holder.handler_waits_ != handler || holder.waits_ == 0 || --holder.waits_ > 0)
        return;
    if (holder.place_ == place::waiting) {
        release_place(holder);
        take_place(holder, place::step);
    }
}

void active_runs::stop_waiting(activation& holder)
{
    const std::lock_guard lock{mutex_};
    ++holder.handler_waits_;
    holder.waits_ = 0;
    if (holder.place_ == place::waiting) {
        release_place(holder);
        take_place(holder, place::step);
    }
}

std::shared_ptr<run_worker> active_runs::take_worker()
{
    if (resting_.empty()) {
        auto worker = std::make_shared<run_worker>(shared_);
        workers_[worker.get()] = worker;
        return worker;
    }
    auto last = std::move(resting_.back()); // the one most likely in the CPU's caches
    resting_.pop_back();
    return last;
}

bool active_runs::rest_worker(std::shared_ptr<run_worker> idle)
{
    const std::lock_guard lock{mutex_};
    if (shared_.stopping || resting_.size() >= max_resting) {
        workers_.erase(idle.get());
        return false;
    }
    resting_.push_back(std::move(idle));
    return true;
}

void active_runs::stop()
{
    std::vector<std::shared_ptr<run_worker>> resting;
    {
        const std::lock_guard lock{mutex_};
        resting.swap(resting_);
    }
    for (const auto& worker : resting)
        worker->end_coroutine();
}

bool active_runs::begin_granted(run_limiter::grant granted)
{
    const auto& step = *granted.permit.step;
    const auto run = granted.position.id;
    const auto fresh = std::make_shared<activation>(shared_, run, std::nullopt);
    // It waited in the line and not in memory. So it begins even if all places are taken, unless
    // nothing else bounds how many such runs there are.
    const auto result =
        admit(fresh, step.bounds_concurrency ? admission::granted : admission::step);
    if (result == begin_result::yes) {
        fresh->admission_.give_permit(std::move(granted.permit));
        // Not in this call, which would recurse if each run had nothing to do and released its
        // permit.
        fresh->worker->drive_later(fresh);
        return true;
    }
    if (result == begin_result::full) {
        shared_.limiter->put_back(std::move(granted));
        shared_.due->expect_place();
        return false;
    }
    // A run that is active asks for a permit itself if it still needs one.
    shared_.limiter->release(std::move(granted.permit));
    return true;
}

void active_runs::release_permit(step_permit released)
{
    const auto& step = *released.step;
    shared_.limiter->release(std::move(released));
    begin_permitted();
    shared_.due->notify_permit_released(step);
}

void active_runs::begin_permitted()
{
    while (!shared_.stopping) {
        auto granted = shared_.limiter->next_grant();
        if (!granted)
            break;
        const auto& step = *granted->permit.step;
        // Without a place the others wait too.
        if (!begin_granted(std::move(*granted)))
            break;
        shared_.due->notify_permit_released(step);
    }
    // Runs may wait for a token now, whatever the scan has been told.
    shared_.due->notify_limit_wait();
}

bool active_runs::post_messages(run_id run, std::vector<message> stored)
{
    std::shared_ptr<activation> receiver;
    {
        const std::lock_guard lock{mutex_};
        const auto found = runs_.find(run);
        if (found == runs_.end())
            return false;
        receiver = found->second;
        for (auto& arrived : stored)
            receiver->inbox_delta_.arrived.push_back(std::move(arrived));
        receiver->has_inbox_delta_ = true;
        receiver->serves_messages_ = receiver->serves_messages_ || shared_.stopping;
    }
    receiver->check_messages();
    return true;
}

void active_runs::deliver(const record& run, const message& stored)
{
    const auto shard = shared_.shard_of(run);
    // Between the two calls another activation may begin, with an inbox that lacks the message.
    while (!post_messages(run.id, {stored})) {
        // The store notifies the engine that owns the shard.
        if (!shared_.owns(shard))
            return;
        // The delivery has changed the record, so the activation reads it again.
        const auto result = begin_urgent(run.id);
        if (result == begin_result::full)
            shared_.due->wake_run(shard, run.id, shared_.clock.now());
        if (result != begin_result::already_active)
            return;
    }
}

bool active_runs::show_record(run_id run, const std::shared_ptr<watcher>& target)
{
    std::shared_ptr<activation> known;
    {
        const std::lock_guard lock{mutex_};
        const auto found = runs_.find(run);
        if (found == runs_.end())
            return false;
        known = found->second;
    }
    known->show_record(target);
    return true;
}

bool active_runs::invalidate_inbox(run_id run)
{
    const std::lock_guard lock{mutex_};
    const auto found = runs_.find(run);
    if (found == runs_.end())
        return false;
    found->second->inbox_delta_.unsure = true;
    found->second->has_inbox_delta_ = true;
    return true;
}

active_runs::inbox_delta active_runs::drain_inbox_delta(activation& receiver)
{
    const std::lock_guard lock{mutex_};
    receiver.has_inbox_delta_ = false;
    return std::exchange(receiver.inbox_delta_, {});
}

bool active_runs::retire(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        if (ending.has_inbox_delta_)
            return false;
        erase(ending);
    }
    shared_.due->notify_place_freed();
    return true;
}

void active_runs::remove(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        erase(ending);
    }
    shared_.due->notify_place_freed();
}

void active_runs::pass_over_until(run_id run, time_point until)
{
    const std::lock_guard lock{mutex_};
    if (passed_over_.size() >= max_passed_over) {
        const auto now = shared_.clock.now();
        std::erase_if(passed_over_, [&](const auto& entry) { return entry.second <= now; });
    }
    if (passed_over_.size() < max_passed_over)
        passed_over_[run] = until;
}

std::size_t active_runs::count_passed_over() const
{
    const std::lock_guard lock{mutex_};
    const auto now = shared_.clock.now();
    return static_cast<std::size_t>(
        std::ranges::count_if(passed_over_, [&](const auto& entry) { return entry.second > now; }));
}

std::uint64_t active_runs::note_ends()
{
    const std::lock_guard lock{mutex_};
    ++noting_;
    return ends_;
}

void active_runs::outdate_records()
{
    const std::lock_guard lock{mutex_};
    forgotten_ = ++ends_;
}

void active_runs::forget_ends()
{
    const std::lock_guard lock{mutex_};
    if (--noting_ == 0 && !ended_.empty())
        ended_.clear();
}

void active_runs::erase(activation& ending)
{
    release_place(ending);
    runs_.erase(ending.id());
    ++ends_;
    if (noting_ == 0)
        return;
    if (ended_.size() >= max_ends) {
        ended_.clear();
        forgotten_ = ends_;
        return;
    }
    ended_[ending.id()] = ends_;
}

void active_runs::replace(activation& stuck, std::shared_ptr<activation> fresh)
{
    {
        const std::lock_guard lock{mutex_};
        fresh->inbox_delta_ = std::exchange(stuck.inbox_delta_, {});
        fresh->has_inbox_delta_ = stuck.has_inbox_delta_.load();
        fresh->worker = take_worker();
        release_place(stuck);
        take_place(*fresh, place::step);
        runs_[stuck.id()] = fresh;
    }
    fresh->worker->drive(fresh);
}

std::vector<std::shared_ptr<activation>> active_runs::all() const
{
    const std::lock_guard lock{mutex_};
    std::vector<std::shared_ptr<activation>> all;
    all.reserve(runs_.size());
    for (const auto& [id, run] : runs_)
        all.push_back(run);
    return all;
}

void active_runs::interrupt_all()
{
    for (const auto& run : all())
        run->cancel_for_stop();
}

void active_runs::check_ownership()
{
    for (const auto& run : all())
        run->check_ownership();
}

bool active_runs::any_in(std::uint32_t shard) const
{
    const std::lock_guard lock{mutex_};
    return std::ranges::any_of(
        runs_, [&](const auto& entry) { return entry.second->shard().value_or(shard) == shard; });
}

bool active_runs::run_here() const
{
    const std::lock_guard lock{mutex_};
    return std::ranges::any_of(runs_,
                               [](const auto& entry) { return entry.second->worker->runs_here(); });
}

bool active_runs::contains(const run_id& run) const
{
    const std::lock_guard lock{mutex_};
    return runs_.contains(run);
}

active_runs::occupancy active_runs::places() const
{
    const std::lock_guard lock{mutex_};
    auto now = taken_;
    now.free = shared_.max_active_runs - std::min(shared_.max_active_runs, now.steps);
    now.reserve_is_full = now.free == 0 && now.urgent >= shared_.urgent_runs;
    return now;
}

std::size_t active_runs::size() const
{
    const std::lock_guard lock{mutex_};
    return runs_.size();
}

} // namespace pawl::engine_detail
