#include "engine/run/handler_admission.hpp"

#include "engine/run/active_runs.hpp"
#include "engine/run/due_scanner.hpp"

#include <fmt/format.h>

#include <utility>

namespace pawl::engine_detail {

bool handler_admission::acquire_slot()
{
    const auto& limiters = run_.workflow->limiters;
    const auto limiter = limiters.find(run_.stored.status);
    if (limiter == limiters.end() || slot_ == limiter->second.get())
        return true;
    release_slot();
    if (!limiter->second->try_acquire())
        return false;
    slot_ = limiter->second.get();
    return true;
}

void handler_admission::release_slot()
{
    if (auto* const held = std::exchange(slot_, nullptr))
        run_.shared.active->release_slot(*held);
}

void handler_admission::wait_for_slot()
{
    auto& limiter = *run_.workflow->limiters.at(run_.stored.status);
    const auto shard = run_.shared.shard_of(run_.stored);
    if (limiter.acquire_or_wait(shard, run_.position())) {
        if (!run_.shared.active->begin_granted(run_.id(), limiter))
            run_.shared.active->release_slot(limiter);
    } else if (const auto time = run_.next_urgent_time()) {
        run_.shared.due->wake_run(shard, run_.id(), *time);
    }
}

std::optional<core::stimulus> handler_admission::judge_attempt(const core::source& handler)
{
    const auto judged = run_.judgement;
    if (judged.suspicion == 0)
        return std::nullopt;
    if (run_.shared.suspects->is_guilty(judged)) {
        clear_suspicion();
        core::handler_failed failed{handler,
                                    fmt::format("the engine's process ended without a stop {} "
                                                "times in a row while this attempt was under way",
                                                judged.crashes + 1),
                                    true};
        auto entry = run_.entry_of(log_level::error, "a handler ends its process");
        entry.error = failed.error;
        run_.shared.log(entry);
        return failed;
    }
    if (run_.stored.suspicion == judged.suspicion)
        return std::nullopt;
    run_.shared.suspects->note_suspicion(*run_.shard(), run_.id());
    return core::attempt_suspected{judged.suspicion};
}

bool handler_admission::admit_suspect()
{
    const auto& judged = run_.judgement;
    if (judged.suspicion == 0 || admitted_suspicion_ != 0 ||
        run_.shared.suspects->is_guilty(judged))
        return true;
    if (!run_.shared.suspects->admit_suspect(judged.suspicion, *run_.shard(), run_.id()))
        return false;
    admitted_suspicion_ = judged.suspicion;
    return true;
}

void handler_admission::release_suspect()
{
    if (const auto admitted = std::exchange(admitted_suspicion_, 0))
        run_.shared.suspects->release_suspect(admitted, run_.id());
}

void handler_admission::clear_suspicion()
{
    run_.judgement = {};
    release_suspect();
}

} // namespace pawl::engine_detail
