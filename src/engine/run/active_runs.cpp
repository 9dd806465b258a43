#include "engine/run/active_runs.hpp"

#include "core/message_acceptance.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "engine/run/activation.hpp"
#include "engine/run/concurrency_limiter.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/run_worker.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

/// Ends when its handler's wait does, or is given up.
class active_runs::handler_wait {
public:
    handler_wait(active_runs& all, std::weak_ptr<activation> of, std::uint64_t handler)
        : all_(all), of_(std::move(of)), handler_(handler)
    {
    }

    ~handler_wait()
    {
        // An activation that lives keeps the engine alive.
        if (const auto alive = of_.lock())
            all_.end_wait(*alive, handler_);
    }

    handler_wait(const handler_wait&) = delete;
    handler_wait& operator=(const handler_wait&) = delete;

private:
    active_runs& all_;
    const std::weak_ptr<activation> of_;
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
    // One that was stored while the engine drains runs after the next start, here or elsewhere.
    if (!shared_.owns(shared_.shard_of(current)) || shared_.stopping)
        return begin_result::not_owner;
    const auto id = current.id;
    const auto inbox_last = current.inbox_last;
    const bool urgent = !has_turn && is_urgent(current, shared_.clock.now());
    const auto how = urgent ? admission::urgent : admission::step;
    std::optional<record> known{std::move(current)};
    std::shared_ptr<activation> active;
    {
        const std::lock_guard lock{mutex_};
        const auto end = ended_.find(id);
        if (noted < forgotten_ || (end != ended_.end() && end->second > noted))
            known.reset();
        const auto left = passed_over_.find(id);
        if (left != passed_over_.end()) {
            const auto now = shared_.clock.now();
            // A clock that was set back must not put it off.
            if (left->second > now && left->second <= now + too_old_pause)
                return begin_result::passed_over;
            passed_over_.erase(left);
        }
        if (const auto at = runs_.find(id); at != runs_.end())
            active = at->second;
    }
    if (active) {
        active->look_at_inbox(inbox_last);
        return begin_result::already_active;
    }
    const auto fresh = std::make_shared<activation>(shared_, id, std::move(known));
    const auto result = admit(fresh, how);
    if (result != begin_result::yes)
        return result;
    if (inside_call)
        fresh->worker_->drive_later(fresh);
    else
        fresh->worker_->drive(fresh);
    return result;
}

active_runs::begin_result active_runs::begin_urgent(run_id run)
{
    const auto fresh = std::make_shared<activation>(shared_, run, std::nullopt);
    fresh->serves_messages_ = shared_.stopping.load();
    const auto result = admit(fresh, admission::urgent);
    if (result == begin_result::yes)
        fresh->worker_->drive_later(fresh);
    return result;
}

active_runs::begin_result active_runs::admit(const std::shared_ptr<activation>& fresh,
                                             admission how)
{
    {
        const std::lock_guard lock{mutex_};
        if (runs_.contains(fresh->id()))
            return begin_result::already_active;
        const bool step_is_free = taken_.steps < shared_.max_active_runs;
        auto wanted = place::step;
        if (how == admission::urgent && taken_.urgent < shared_.urgent_runs)
            wanted = place::urgent;
        else if (how != admission::granted && !step_is_free)
            return begin_result::full;
        runs_.emplace(fresh->id(), fresh);
        take_place(*fresh, wanted);
        fresh->worker_ = take_worker();
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

bool active_runs::take_step_place(activation& of)
{
    if (of.place_ == place::step)
        return true;
    {
        const std::lock_guard lock{mutex_};
        if (taken_.steps >= shared_.max_active_runs || shared_.due->runs_wait())
            return false;
        release_place(of);
        take_place(of, place::step);
    }
    shared_.due->notify_place_freed();
    return true;
}

std::shared_ptr<void> active_runs::begin_wait(const boost::asio::any_completion_executor& executor)
{
    const auto* const handlers = executor.target<run_worker_executor>();
    if (!handlers || !handlers->running_in_this_thread())
        return nullptr;
    std::shared_ptr<void> wait;
    {
        const std::lock_guard lock{mutex_};
        const auto known = workers_.find(handlers->of());
        const auto found = known == workers_.end() ? nullptr : known->second.lock();
        if (!found || !found->has(*handlers) || !found->at_work())
            return nullptr;
        auto& of = *found->at_work();
        const auto active = runs_.find(of.id());
        if (active == runs_.end() || active->second.get() != &of)
            return nullptr;
        if (of.waits_ == 0 && taken_.waiting >= shared_.max_waiting_handlers)
            return nullptr;
        if (of.waits_++ == 0) {
            release_place(of);
            take_place(of, place::waiting);
        }
        wait = std::make_shared<handler_wait>(*this, of.weak_from_this(), of.handler_waits_);
    }
    shared_.due->notify_place_freed();
    return wait;
}

/// It goes on at once, as others may depend on it; until one of them ends there may be a few more
/// than there are places.
void active_runs::end_wait(activation& of, std::uint64_t handler)
{
    const std::lock_guard lock{mutex_};
    if (of.handler_waits_ != handler || of.waits_ == 0 || --of.waits_ > 0)
        return;
    if (of.place_ == place::waiting) {
        release_place(of);
        take_place(of, place::step);
    }
}

void active_runs::stop_waiting(activation& of)
{
    const std::lock_guard lock{mutex_};
    ++of.handler_waits_;
    of.waits_ = 0;
    if (of.place_ == place::waiting) {
        release_place(of);
        take_place(of, place::step);
    }
}

std::shared_ptr<run_worker> active_runs::take_worker()
{
    if (resting_.empty()) {
        auto made = std::make_shared<run_worker>(shared_);
        workers_[made.get()] = made;
        return made;
    }
    auto last = std::move(resting_.back()); // it is warmest
    resting_.pop_back();
    return last;
}

bool active_runs::rest_worker(std::shared_ptr<run_worker> free)
{
    const std::lock_guard lock{mutex_};
    if (shared_.stopping || resting_.size() >= max_resting) {
        workers_.erase(free.get());
        return false;
    }
    resting_.push_back(std::move(free));
    return true;
}

void active_runs::stop()
{
    std::vector<std::shared_ptr<run_worker>> resting;
    {
        const std::lock_guard lock{mutex_};
        resting.swap(resting_);
    }
    for (const auto& each : resting)
        each->end();
}

bool active_runs::begin_granted(run_id run, concurrency_limiter& granted)
{
    const auto fresh =
        std::make_shared<activation>(shared_, run, std::nullopt, std::nullopt, &granted);
    // It waited in line instead of in memory, so it may come in even now.
    if (admit(fresh, admission::granted) != begin_result::yes)
        return false;
    // Not in this call: it may have nothing to do and pass the permit on in its turn, and so on.
    fresh->worker_->drive_later(fresh);
    return true;
}

void active_runs::release_slot(concurrency_limiter& permit)
{
    while (!shared_.stopping) {
        const auto granted = permit.release();
        // One that is active already will ask for a permit by itself, if it still needs one.
        if (!granted || begin_granted(*granted, permit))
            break;
    }
    shared_.due->notify_slot_released(permit);
}

bool active_runs::post_messages(run_id run, std::vector<message> stored)
{
    std::shared_ptr<activation> receiver;
    {
        const std::lock_guard lock{mutex_};
        const auto at = runs_.find(run);
        if (at == runs_.end())
            return false;
        receiver = at->second;
        for (auto& each : stored)
            receiver->mail_.arrived.push_back(std::move(each));
        receiver->has_mail_ = true;
        receiver->serves_messages_ = receiver->serves_messages_ || shared_.stopping;
    }
    receiver->look_at_mail();
    return true;
}

void active_runs::deliver(const record& of, const message& stored)
{
    const auto shard = shared_.shard_of(of);
    // A run may be begun between the two, maybe before the message was stored.
    while (!post_messages(of.id, {stored})) {
        // Its engine is told by the store.
        if (!shared_.owns(shard))
            return;
        // The record has changed by the delivery, so the activation reads it anew.
        const auto result = begin_urgent(of.id);
        if (result == begin_result::full)
            shared_.due->wake_run(shard, of.id, shared_.clock.now());
        if (result != begin_result::already_active)
            return;
    }
}

bool active_runs::show_record(run_id run, const std::shared_ptr<watcher>& to)
{
    std::shared_ptr<activation> known;
    {
        const std::lock_guard lock{mutex_};
        const auto at = runs_.find(run);
        if (at == runs_.end())
            return false;
        known = at->second;
    }
    known->show(to);
    return true;
}

bool active_runs::invalidate_inbox(run_id run)
{
    const std::lock_guard lock{mutex_};
    const auto at = runs_.find(run);
    if (at == runs_.end())
        return false;
    at->second->mail_.unsure = true;
    at->second->has_mail_ = true;
    return true;
}

active_runs::inbox_delta active_runs::drain_inbox_delta(activation& of)
{
    const std::lock_guard lock{mutex_};
    of.has_mail_ = false;
    return std::exchange(of.mail_, {});
}

bool active_runs::retire(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        if (ending.has_mail_)
            return false;
        erase(ending);
    }
    erased();
    return true;
}

void active_runs::remove(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        erase(ending);
    }
    erased();
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

void active_runs::erased()
{
    shared_.due->notify_place_freed();
}

void active_runs::replace(activation& stuck, std::shared_ptr<activation> fresh)
{
    {
        const std::lock_guard lock{mutex_};
        fresh->mail_ = std::exchange(stuck.mail_, {});
        fresh->has_mail_ = stuck.has_mail_.load();
        fresh->worker_ = take_worker();
        release_place(stuck);
        take_place(*fresh, place::step);
        runs_[stuck.id()] = fresh;
    }
    fresh->worker_->drive(fresh);
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
        run->interrupt_to_stop();
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
    return std::ranges::any_of(
        runs_, [](const auto& entry) { return entry.second->worker_->runs_here(); });
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
