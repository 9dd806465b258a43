#include "engine/run/crash_suspects.hpp"

#include "core/planted.hpp"
#include "engine/run/due_scanner.hpp"

namespace pawl::engine_detail {

namespace {

constexpr auto never = time_point::min().time_since_epoch().count();

/// Suspects of a lane that are woken when there is a place; others try again after a pause.
constexpr std::size_t max_woken = 1024;

/// Runs whose suspicion is known to be this engine's own.
constexpr std::size_t max_known = 65'536;

/// How long a suspect keeps others waiting. What ends a process mostly does so at once.
constexpr duration patience = std::chrono::seconds{2};

/// After a suspect that must run alone was refused, the other lane admits nobody for this time.
constexpr duration precedence = 2 * failure_pause;

} // namespace

crash_suspects::crash_suspects(context& shared, std::uint32_t max_crashes)
    : shared_(shared), max_crashes_(max_crashes)
{
    set_shards(shared.store.shards());
}

void crash_suspects::set_shards(std::uint32_t count)
{
    left_at_ = std::vector<std::atomic<time_point::rep>>(count);
    for (auto& each : left_at_)
        each = never;
}

void crash_suspects::note_acquired_shard(std::uint32_t shard, bool left)
{
    if (max_crashes_ == 0)
        return;
    if (left)
        left_ = shared_.max_active_runs + shared_.urgent_runs;
    left_at_[shard] = left ? shared_.clock.now().time_since_epoch().count() : never;
}

crash_suspects::judgement crash_suspects::judge_run(std::uint32_t shard, const record& current)
{
    const bool was_left = left_at_[shard] != never;
    if (PAWL_PLANTED(crash_not_counted) || (!was_left && current.suspicion == 0))
        return {};
    if (current.suspicion > 0) {
        const std::lock_guard lock{mutex_};
        const auto known = suspected_here_.find(current.id);
        const bool is_own =
            known != suspected_here_.end() && known->second == shared_.epochs[shard];
        // An owner that released the shard was stopped.
        return {was_left && !is_own ? current.suspicion : current.suspicion - 1,
                was_left && !is_own ? current.suspicion + 1 : current.suspicion};
    }
    const time_point at{duration{left_at_[shard].load()}};
    if (!current.wake_at || *current.wake_at > at || current.updated_at > at)
        return {};
    auto left = left_.load();
    while (left > 0 && !left_.compare_exchange_weak(left, left - 1)) {
    }
    return left == 0 ? judgement{} : judgement{0, 1};
}

void crash_suspects::note_suspicion(std::uint32_t shard, run_id run)
{
    const std::lock_guard lock{mutex_};
    // Most are of shards that are gone. A run that is forgotten too early gets one more suspicion.
    if (suspected_here_.size() >= max_known)
        suspected_here_.clear();
    suspected_here_[run] = shared_.epochs[shard];
}

/// Runs with a suspicion of 1 run as others do: there may be thousands, and most processes end for
/// reasons of their own.
crash_suspects::lane* crash_suspects::lane_of(std::uint32_t suspicion)
{
    if (suspicion < 2)
        return nullptr;
    return suspicion == 2 ? &few_ : &alone_;
}

void crash_suspects::end_patience(lane& with)
{
    const auto now = shared_.clock.steady();
    std::erase_if(with.under_way, [&](const auto& each) { return each.second + patience <= now; });
}

/// Under the lock: whether another of the lane may begin.
bool crash_suspects::has_place(lane& wanted)
{
    end_patience(few_);
    end_patience(alone_);
    const bool is_alone = &wanted == &alone_;
    if (wanted.under_way.size() >= wanted.places || !(is_alone ? few_ : alone_).under_way.empty())
        return false;
    return is_alone || alone_.refused_at == duration::min() ||
           alone_.refused_at + precedence <= shared_.clock.steady();
}

bool crash_suspects::admit_suspect(std::uint32_t suspicion, std::uint32_t shard, run_id run)
{
    auto* const wanted = lane_of(suspicion);
    if (!wanted)
        return true;
    const std::lock_guard lock{mutex_};
    if (has_place(*wanted)) {
        wanted->under_way[run] = shared_.clock.steady();
        return true;
    }
    wanted->refused_at = shared_.clock.steady();
    if (wanted->waiting.size() < max_woken && wanted->is_waiting.insert(run).second)
        wanted->waiting.emplace_back(shard, run);
    return false;
}

void crash_suspects::release_suspect(std::uint32_t suspicion, run_id run)
{
    auto* const left = lane_of(suspicion);
    if (!left)
        return;
    std::vector<std::pair<std::uint32_t, run_id>> woken;
    {
        const std::lock_guard lock{mutex_};
        left->under_way.erase(run);
        if (alone_.waiting.empty())
            alone_.refused_at = duration::min();
        for (auto* each : {&alone_, &few_}) {
            if (each->waiting.empty() || !has_place(*each))
                continue;
            woken.push_back(each->waiting.front());
            each->is_waiting.erase(each->waiting.front().second);
            each->waiting.pop_front();
        }
    }
    for (const auto& [shard, id] : woken)
        shared_.due->wake_run(shard, id, shared_.clock.now());
}

} // namespace pawl::engine_detail
