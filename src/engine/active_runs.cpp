#include "engine/active_runs.hpp"

#include "engine/activation.hpp"
#include "engine/due_scanner.hpp"
#include "engine/step_limiter.hpp"

#include <utility>

namespace pawl::engine_detail {

active_runs::begun active_runs::begin(record current)
{
    const auto id = current.id;
    return begin(std::make_shared<activation>(shared_, id, std::move(current)), false);
}

active_runs::begun active_runs::begin(std::shared_ptr<activation> fresh, bool even_if_full)
{
    {
        const std::lock_guard lock{mutex_};
        if (runs_.contains(fresh->id()))
            return begun::already_active;
        if (!even_if_full && runs_.size() >= shared_.max_active_runs)
            return begun::full;
        runs_.emplace(fresh->id(), fresh);
    }
    fresh->start();
    return begun::yes;
}

void active_runs::begin_granted(run_id run, step_limiter& granted)
{
    std::optional<run_id> next = run;
    while (next && !shared_.stopping) {
        auto fresh =
            std::make_shared<activation>(shared_, *next, std::nullopt, std::nullopt, &granted);
        // It waited in line instead of in memory, so it may come in even now.
        if (begin(std::move(fresh), true) == begun::yes)
            return;
        // It is active already and will ask for a permit by itself, if it still needs one.
        next = granted.release().granted;
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
            receiver->mail_.push_back(stored);
            receiver->has_mail_ = true;
        }
    }
    if (receiver) {
        receiver->look_at_mail();
        return;
    }
    // The record has changed by the delivery, so the activation reads it anew.
    auto fresh = std::make_shared<activation>(shared_, of.id, std::nullopt);
    switch (begin(std::move(fresh), false)) {
    case begun::yes:
        break;
    case begun::already_active: // begun meanwhile, maybe before the message was stored
        deliver(of, stored);
        break;
    case begun::full:
        shared_.due->due_at(shared_.shard_of(of.foreign_id), stored.sent_at);
        break;
    }
}

std::vector<message> active_runs::take_mail(activation& of)
{
    const std::lock_guard lock{mutex_};
    of.has_mail_ = false;
    return std::exchange(of.mail_, {});
}

bool active_runs::retire(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        if (!ending.mail_.empty())
            return false;
        runs_.erase(ending.id());
    }
    erased();
    return true;
}

void active_runs::remove(activation& ending)
{
    {
        const std::lock_guard lock{mutex_};
        runs_.erase(ending.id());
    }
    erased();
}

void active_runs::erased()
{
    if (size() < shared_.max_active_runs)
        shared_.due->room();
}

void active_runs::replace(activation& stuck, std::shared_ptr<activation> fresh)
{
    {
        const std::lock_guard lock{mutex_};
        fresh->mail_ = std::exchange(stuck.mail_, {});
        fresh->has_mail_ = !fresh->mail_.empty();
        runs_[stuck.id()] = fresh;
    }
    fresh->start();
}

void active_runs::interrupt_all()
{
    std::vector<std::shared_ptr<activation>> all;
    {
        const std::lock_guard lock{mutex_};
        all.reserve(runs_.size());
        for (const auto& [id, run] : runs_)
            all.push_back(run);
    }
    for (const auto& run : all)
        run->interrupt_to_stop();
}

std::size_t active_runs::size() const
{
    const std::lock_guard lock{mutex_};
    return runs_.size();
}

} // namespace pawl::engine_detail
