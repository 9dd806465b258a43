#include "engine/run/crash_suspects.hpp"

#include "engine/run/due_scanner.hpp"

namespace pawl::engine_detail {

namespace {

constexpr auto never = time_point::min().time_since_epoch().count();

/// Further waiting suspects of a group are not woken; they try again after a pause.
constexpr std::size_t max_waiting_suspects = 1024;

/// The limit of runs whose suspicion is known to be stored by this engine.
constexpr std::size_t max_known = 65'536;

/// How long a suspect delays other suspects. Most handlers that crash a process do so at once.
constexpr duration max_hold_time = std::chrono::seconds{2};

/// After a suspect that must run alone was refused, the other group admits no suspect for this
/// time.
constexpr duration alone_precedence = 2 * failure_pause;

} // namespace

crash_suspects::crash_suspects(engine_parts& shared, std::uint32_t max_crashes)
    : shared_(shared), max_crashes_(max_crashes)
{
    set_shards(shared.store.shards());
}

void crash_suspects::set_shards(std::uint32_t count)
{
    abandoned_at_ = std::vector<std::atomic<time_point::rep>>(count);
    for (auto& time : abandoned_at_)
        time = never;
}

void crash_suspects::note_acquired_shard(std::uint32_t shard, bool abandoned)
{
    if (max_crashes_ == 0)
        return;
    if (abandoned)
        new_suspects_left_ = shared_.max_active_runs + shared_.urgent_runs;
    abandoned_at_[shard] = abandoned ? shared_.clock.now().time_since_epoch().count() : never;
}

crash_suspects::judgement crash_suspects::judge_run(std::uint32_t shard, const record& current)
{
    const bool was_abandoned = abandoned_at_[shard] != never;
    if (!was_abandoned && current.suspicion == 0)
        return {};
    if (current.suspicion > 0) {
        const std::lock_guard lock{mutex_};
        const auto known = suspected_here_.find(current.id);
        const bool is_own =
            known != suspected_here_.end() && known->second == shared_.epochs[shard];
        // An owner that released the shard did not crash.
        const bool crashed = was_abandoned && !is_own;
        return {crashed ? current.suspicion : current.suspicion - 1,
                crashed ? current.suspicion + 1 : current.suspicion};
    }
    const time_point abandoned_at{duration{abandoned_at_[shard].load()}};
    if (!current.wake_at || *current.wake_at > abandoned_at || current.updated_at > abandoned_at)
        return {};
    auto left = new_suspects_left_.load();
    while (left > 0 && !new_suspects_left_.compare_exchange_weak(left, left - 1)) {
    }
    return left == 0 ? judgement{} : judgement{0, 1};
}

void crash_suspects::note_suspicion(std::uint32_t shard, run_id run)
{
    const std::lock_guard lock{mutex_};
    // Most entries belong to lost shards. A run that is dropped too early gets one more suspicion.
    if (suspected_here_.size() >= max_known)
        suspected_here_.clear();
    suspected_here_[run] = shared_.epochs[shard];
}

/// Runs with a suspicion of 1 run like other runs: there may be thousands, and most crashes are not
/// caused by a handler.
crash_suspects::suspect_group* crash_suspects::group_of(std::uint32_t suspicion)
{
    if (suspicion < 2)
        return nullptr;
    return suspicion == 2 ? &few_ : &alone_;
}

void crash_suspects::drop_long_running(suspect_group& group)
{
    const auto now = shared_.clock.steady();
    std::erase_if(group.running,
                  [&](const auto& entry) { return entry.second + max_hold_time <= now; });
}

/// Whether another suspect of the group may start. Under the lock.
bool crash_suspects::has_place(suspect_group& group)
{
    drop_long_running(few_);
    drop_long_running(alone_);
    const bool is_alone = &group == &alone_;
    if (group.running.size() >= group.places || !(is_alone ? few_ : alone_).running.empty())
        return false;
    return is_alone || alone_.refused_at == duration::min() ||
           alone_.refused_at + alone_precedence <= shared_.clock.steady();
}

bool crash_suspects::admit_suspect(std::uint32_t suspicion, std::uint32_t shard, run_id run)
{
    auto* const group = group_of(suspicion);
    if (!group)
        return true;
    const std::lock_guard lock{mutex_};
    if (has_place(*group)) {
        group->running[run] = shared_.clock.steady();
        return true;
    }
    group->refused_at = shared_.clock.steady();
    if (group->waiting.size() < max_waiting_suspects && group->waiting_ids.insert(run).second)
        group->waiting.emplace_back(shard, run);
    return false;
}

void crash_suspects::release_suspect(std::uint32_t suspicion, run_id run)
{
    auto* const group = group_of(suspicion);
    if (!group)
        return;
    std::vector<std::pair<std::uint32_t, run_id>> woken;
    {
        const std::lock_guard lock{mutex_};
        group->running.erase(run);
        if (alone_.waiting.empty())
            alone_.refused_at = duration::min();
        for (auto* next : {&alone_, &few_}) {
            if (next->waiting.empty() || !has_place(*next))
                continue;
            woken.push_back(next->waiting.front());
            next->waiting_ids.erase(next->waiting.front().second);
            next->waiting.pop_front();
        }
    }
    for (const auto& [shard, id] : woken)
        shared_.due->wake_run(shard, id, shared_.clock.now());
}

} // namespace pawl::engine_detail
