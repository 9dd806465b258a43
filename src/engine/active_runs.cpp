#include "engine/active_runs.hpp"

#include "core/store_rules.hpp"
#include "engine/activation.hpp"
#include "engine/due_scanner.hpp"
#include "engine/shard_keeper.hpp"
#include "engine/step_limiter.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

active_runs::begun active_runs::begin(record current)
{
    if (shared_.epochs[shared_.shard_of(current.foreign_id)] == 0)
        return begun::not_owner;
    const auto id = current.id;
    std::optional<record> known{std::move(current)};
    {
        const std::lock_guard lock{mutex_};
        if (ended_.contains(id))
            known.reset();
    }
    const auto fresh = std::make_shared<activation>(shared_, id, std::move(known));
    const auto result = admit(fresh, false);
    if (result == begun::yes)
        fresh->driver_->drive(fresh);
    return result;
}

active_runs::begun active_runs::admit(const std::shared_ptr<activation>& fresh, bool even_if_full)
{
    const std::lock_guard lock{mutex_};
    if (runs_.contains(fresh->id()))
        return begun::already_active;
    if (!even_if_full && runs_.size() >= shared_.max_active_runs)
        return begun::full;
    runs_.emplace(fresh->id(), fresh);
    fresh->driver_ = take_driver();
    return begun::yes;
}

std::shared_ptr<driver> active_runs::take_driver()
{
    if (resting_.empty())
        return std::make_shared<driver>(shared_);
    auto last = std::move(resting_.back()); // it is warmest
    resting_.pop_back();
    return last;
}

bool active_runs::keep(std::shared_ptr<driver> free)
{
    const std::lock_guard lock{mutex_};
    if (shared_.stopping || resting_.size() >= max_resting)
        return false;
    resting_.push_back(std::move(free));
    return true;
}

void active_runs::stop()
{
    std::vector<std::shared_ptr<driver>> resting;
    {
        const std::lock_guard lock{mutex_};
        resting.swap(resting_);
    }
    for (const auto& each : resting)
        each->end();
}

bool active_runs::begin_granted(run_id run, step_limiter& granted)
{
    const auto fresh =
        std::make_shared<activation>(shared_, run, std::nullopt, std::nullopt, &granted);
    // It waited in line instead of in memory, so it may come in even now.
    if (admit(fresh, true) != begun::yes)
        return false;
    // Not in this call: it may have nothing to do and pass the permit on in its turn, and so on.
    fresh->driver_->drive_later(fresh);
    return true;
}

void active_runs::give_back(step_limiter& permit)
{
    while (!shared_.stopping) {
        const auto released = permit.release();
        if (released.rescan_from)
            for (std::uint32_t shard = 0; shard < shared_.epochs.size(); ++shard)
                shared_.due->due_at(shard, *released.rescan_from);
        // One that is active already will ask for a permit by itself, if it still needs one.
        if (!released.granted || begin_granted(*released.granted, permit))
            return;
    }
}

void active_runs::deliver(const record& of, const message& stored)
{
    std::shared_ptr<activation> receiver;
    {
        const std::lock_guard lock{mutex_};
        const auto at = runs_.find(of.id);
        if (at != runs_.end()) {
            receiver = at->second;
            receiver->mail_.arrived.push_back(stored);
            receiver->has_mail_ = true;
        }
    }
    if (receiver) {
        receiver->look_at_mail();
        return;
    }
    // Its engine is told by the store.
    if (shared_.epochs[shared_.shard_of(of.foreign_id)] == 0)
        return;
    // The record has changed by the delivery, so the activation reads it anew.
    const auto fresh = std::make_shared<activation>(shared_, of.id, std::nullopt);
    switch (admit(fresh, false)) {
    case begun::yes:
        fresh->driver_->drive(fresh);
        break;
    case begun::already_active: // begun meanwhile, maybe before the message was stored
        deliver(of, stored);
        break;
    case begun::not_owner:
        break;
    case begun::full:
        // It may have been due before, without a place in memory or waiting for a permit.
        shared_.due->due_at(shared_.shard_of(of.foreign_id), core::wake_after(stored, of.wake_at));
        break;
    }
}

bool active_runs::show(run_id run, const std::shared_ptr<watcher>& to)
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

void active_runs::distrust_inbox(run_id run)
{
    const std::lock_guard lock{mutex_};
    const auto at = runs_.find(run);
    if (at == runs_.end())
        return;
    at->second->mail_.unsure = true;
    at->second->has_mail_ = true;
}

active_runs::mail active_runs::take_mail(activation& of)
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

void active_runs::note_ends()
{
    const std::lock_guard lock{mutex_};
    notes_ends_ = true;
}

void active_runs::forget_ends()
{
    const std::lock_guard lock{mutex_};
    notes_ends_ = false;
    ended_.clear();
}

void active_runs::erase(const activation& ending)
{
    runs_.erase(ending.id());
    if (notes_ends_)
        ended_.insert(ending.id());
}

void active_runs::erased()
{
    const auto left = size();
    if (left < shared_.max_active_runs)
        shared_.due->room();
    if (left == 0 && shared_.stopping)
        shared_.shards->let_go();
}

void active_runs::replace(activation& stuck, std::shared_ptr<activation> fresh)
{
    {
        const std::lock_guard lock{mutex_};
        fresh->mail_ = std::exchange(stuck.mail_, {});
        fresh->has_mail_ = stuck.has_mail_.load();
        fresh->driver_ = take_driver();
        runs_[stuck.id()] = fresh;
    }
    fresh->driver_->drive(fresh);
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

bool active_runs::contains(const run_id& run) const
{
    const std::lock_guard lock{mutex_};
    return runs_.contains(run);
}

std::size_t active_runs::size() const
{
    const std::lock_guard lock{mutex_};
    return runs_.size();
}

} // namespace pawl::engine_detail
