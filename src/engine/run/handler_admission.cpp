#include "engine/run/handler_admission.hpp"

#include "engine/run/active_runs.hpp"
#include "engine/run/due_scanner.hpp"

#include <fmt/format.h>

#include <utility>

namespace pawl::engine_detail {

bool handler_admission::acquire_permit()
{
    run_.key_failure = nullptr;
    const auto& limited = run_.workflow->limited_steps;
    const auto step = limited.find(run_.stored.status);
    if (step == limited.end()) {
        release_permit();
        return true;
    }
    lane_key key;
    if (step->second->has_keys) {
        try {
            run_.decode_object();
            key = run_limiter::keys_of(*step->second, run_.object);
        } catch (...) {
            run_.key_failure = std::current_exception(); // the attempt fails with it
            return true;
        }
    }
    if (permit_.step == step->second && permit_.key == key && !permit_.used)
        return true;
    release_permit();
    auto acquired = run_.shared.limiter->try_acquire(*step->second, key);
    if (acquired)
        permit_ = std::move(*acquired);
    else
        wanted_ = std::move(key);
    return acquired.has_value();
}

void handler_admission::release_permit()
{
    if (permit_)
        run_.shared.active->release_permit(std::exchange(permit_, {}));
}

void handler_admission::wait_for_permit()
{
    auto& step = *run_.workflow->limited_steps.at(run_.stored.status);
    const auto shard = run_.shared.shard_of(run_.stored);
    auto permit = run_.shared.limiter->acquire_or_wait(step, wanted_, shard, run_.position());
    if (permit) {
        run_.shared.active->begin_granted({run_.position(), shard, std::move(*permit)});
        run_.shared.active->begin_permitted();
        return;
    }
    if (const auto time = run_.next_urgent_time())
        run_.shared.due->wake_run(shard, run_.id(), *time);
    run_.shared.due->notify_limit_wait();
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
