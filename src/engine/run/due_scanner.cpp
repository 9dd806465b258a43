#include "engine/run/due_scanner.hpp"

#include "core/saturating_add.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/run_limiter.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Earlier positions are read by a sweep, so that they do not delay runs that become due.
constexpr duration max_step_back = std::chrono::minutes{1};

/// The number of runs of the wake list that one round activates.
constexpr std::size_t wakes_per_round = 256;

/// The minimum number of runs to read for a queue, because other runs may lie between its runs.
constexpr std::size_t min_refill = 16;

constexpr duration max_retry_pause = std::chrono::minutes{5};

duration retry_pause(int failures)
{
    return std::min(max_retry_pause, failure_pause * (1 << std::clamp(failures - 1, 0, 16)));
}

std::optional<time_point> earliest_deadline(const record& run)
{
    std::optional<time_point> earliest;
    for (const auto& armed : run.deadlines)
        earliest = std::min(earliest.value_or(armed.at), armed.at);
    return earliest;
}

/// The keys of a run that no engine has in memory. Empty if its object cannot be read: then its
/// activation finds out why.
std::optional<lane_key> stored_keys(const limited_step& step, const detail::workflow_impl& workflow,
                                    const record& run)
{
    if (!step.has_keys)
        return lane_key{};
    try {
        std::string upgraded;
        return run_limiter::keys_of(
            step, workflow.decode(detail::present_object(workflow, run, upgraded), nullptr));
    } catch (...) {
        return std::nullopt;
    }
}

} // namespace

due_scanner::due_scanner(engine_parts& shared)
    : shared_(shared), strand_(asio::make_strand(shared.executor)), stalls_(shared),
      reader_(shared), positions_(shared.store.shards()), timer_(shared.clock.make_timer(strand_))
{
}

void due_scanner::set_shards(std::uint32_t count)
{
    const std::lock_guard lock{mutex_};
    positions_ = scan_positions{count};
}

void due_scanner::start()
{
    for (std::uint32_t shard = 0; shard < positions_.size(); ++shard)
        rescan_shard(shard);
    shared_.running.spawn(strand_, scan());
}

void due_scanner::stop()
{
    wake_scan();
}

void due_scanner::rescan_shard(std::uint32_t shard)
{
    if (shared_.epochs[shard] == 0)
        return;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& scan = positions_[shard];
        scan.add_sweep({}, now);
        scan.move_next_back({now, {}});
    }
    wake_scan();
}

void due_scanner::forget_shard(std::uint32_t shard)
{
    {
        const std::lock_guard lock{mutex_};
        set_backlog(shard, std::nullopt);
        positions_.forget_shard(shard);
    }
    shared_.limiter->forget_shard(shard);
    shared_.active->begin_permitted();
}

void due_scanner::scan_from(std::uint32_t shard, time_point time)
{
    if (shared_.epochs[shard] == 0)
        return;
    {
        const std::lock_guard lock{mutex_};
        auto& scan = positions_[shard];
        const due_position wanted{time, {}};
        // Compares ids too: the position may be at another run that is due at the same time.
        if (scan.next && *scan.next <= wanted)
            return;
        const auto now = shared_.clock.now();
        const bool far_back = time < now - max_step_back; // `time` may be the minimum time
        if (far_back)
            scan.add_sweep(wanted, now);
        scan.move_next_back(far_back ? due_position{now, {}} : wanted);
        if (!sleeping_until_ || *sleeping_until_ <= time)
            return;
    }
    wake_scan();
}

void due_scanner::admit_run(record started, std::uint64_t noted, bool inside_call)
{
    const auto shard = shared_.shard_of(started);
    if (shared_.epochs[shard] != 0)
        begin_or_queue(shard, std::move(started), noted, false, inside_call);
}

/// Activates a run that is due, or notes what it waits for. Returns whether it was activated.
bool due_scanner::begin_or_queue(std::uint32_t shard, record run, std::uint64_t noted,
                                 bool from_backlog, bool inside_call)
{
    const auto now = shared_.clock.now();
    const due_position position{run.wake_at.value_or(now), run.id};
    const auto deadline = earliest_deadline(run);
    const bool urgent = active_runs::is_urgent(run, now);
    if (wake_count_ > 0) {
        const std::lock_guard lock{mutex_};
        const auto* known = wakes_.find(run.id);
        if (known && known->failures > 0 && known->at > now)
            return false;
    }
    if (!urgent && !shared_.active->contains(run.id)) {
        if (!from_backlog && runs_wait()) {
            wait_for_place(shard, position, deadline);
            return false;
        }
        const auto workflow = shared_.workflows.find(run.workflow);
        if (workflow != shared_.workflows.end()) {
            const auto& steps = workflow->second.limited_steps;
            const auto step = steps.find(run.status);
            // In line without an activation, unless a permit is free.
            if (step != steps.end() &&
                line_up(*step->second, *workflow->second.impl, run, shard, position)) {
                if (deadline)
                    wake_run(shard, run.id, *deadline);
                return false;
            }
        }
    }
    const auto id = run.id;
    const auto result = shared_.active->begin(std::move(run), noted, inside_call, from_backlog);
    if (result == active_runs::begin_result::full && urgent)
        wake_run(shard, id, now);
    else if (result == active_runs::begin_result::full)
        wait_for_place(shard, position, deadline);
    return result == active_runs::begin_result::yes;
}

/// Adds a run to the line of its step, unless a permit is free.
bool due_scanner::line_up(limited_step& step, const detail::workflow_impl& workflow,
                          const record& run, std::uint32_t shard, const due_position& position)
{
    const auto key = stored_keys(step, workflow, run);
    if (!key || !shared_.limiter->wait_for_permit(step, *key, shard, position))
        return false;
    notify_limit_wait();
    return true;
}

void due_scanner::wait_for_place(std::uint32_t shard, const due_position& position,
                                 std::optional<time_point> urgent_at)
{
    if (shared_.epochs[shard] == 0)
        return;
    {
        const std::lock_guard lock{mutex_};
        const auto& backlog = positions_[shard].backlog;
        if (!backlog || position < *backlog)
            set_backlog(shard, position);
    }
    if (urgent_at)
        wake_run(shard, position.id, *urgent_at);
    // A place may have been freed before the backlog was noted. Also, the scan must check for a
    // stall.
    wake_scan();
}

/// Under the lock.
void due_scanner::set_backlog(std::uint32_t shard, std::optional<due_position> position)
{
    positions_.set_backlog(shard, position);
    waiting_shards_ = positions_.backlog_count() + reading_backlog_;
}

void due_scanner::wake_run(std::uint32_t shard, run_id run, time_point time)
{
    add_wake({time, run, shard, 0});
}

void due_scanner::retry_run(std::optional<std::uint32_t> shard, run_id run, int failures)
{
    const auto time = core::saturating_add(shared_.clock.now(), retry_pause(failures));
    add_wake({time, run, shard.value_or(no_shard), failures});
}

void due_scanner::add_wake(const wake_list::entry& added)
{
    {
        const std::lock_guard lock{mutex_};
        if (const auto rejected = wakes_.add(added)) {
            if (rejected->shard != no_shard)
                positions_.sweep_at(rejected->shard, rejected->at);
            else
                positions_.sweep_all_at(rejected->at);
        }
        wake_count_ = wakes_.size();
        if (!sleeping_until_ || *sleeping_until_ <= added.at)
            return;
    }
    wake_scan();
}

int due_scanner::take_failures(run_id run)
{
    if (wake_count_ == 0)
        return 0;
    const std::lock_guard lock{mutex_};
    const auto known = wakes_.remove(run);
    wake_count_ = wakes_.size();
    return known ? known->failures : 0;
}

void due_scanner::notify_place_freed()
{
    if (waiting_shards_ == 0 && !urgent_wait_ && !permits_wait_)
        return;
    urgent_wait_ = false;
    wake_scan();
}

void due_scanner::expect_place()
{
    permits_wait_ = true;
    // A place may have become free before that was noted.
    if (shared_.active->places().free > 0)
        wake_scan();
}

void due_scanner::notify_permit_released(const limited_step& step)
{
    if (shared_.limiter->is_short(step) && !lines_are_short_.exchange(true))
        wake_scan();
}

void due_scanner::notify_limit_wait()
{
    const auto wake_at = shared_.limiter->next_wake();
    if (!wake_at)
        return;
    {
        const std::lock_guard lock{mutex_};
        const auto at =
            core::saturating_add(shared_.clock.now(), *wake_at - shared_.clock.steady());
        if (!sleeping_until_ || *sleeping_until_ <= at)
            return;
    }
    wake_scan();
}

void due_scanner::wake_scan()
{
    {
        const std::lock_guard lock{mutex_};
        if (std::exchange(woken_, true))
            return;
    }
    asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

std::optional<due_position> due_scanner::longest_waiting() const
{
    std::optional<due_position> first;
    const auto consider = [&](const due_position& position) {
        first = std::min(first.value_or(position), position);
    };
    {
        const std::lock_guard lock{mutex_};
        if (const auto waiting = positions_.first_backlog())
            consider(*waiting);
    }
    if (const auto waiting = shared_.limiter->first_waiting())
        consider(*waiting);
    return first;
}

asio::awaitable<void> due_scanner::scan()
{
    while (!shared_.stopping) {
        std::exception_ptr escaped;
        try {
            co_await scan_once();
        } catch (...) {
            escaped = std::current_exception();
        }
        if (!escaped)
            continue;
        try {
            shared_.log({log_level::error, "internal error: " + detail::exception_text(escaped)});
        } catch (...) { // it may be the log sink that threw
        }
        // The interrupted reads may have missed runs.
        for (std::uint32_t shard = 0; shard < positions_.size(); ++shard)
            rescan_shard(shard);
        co_await wait(*timer_, failure_pause);
    }
}

asio::awaitable<void> due_scanner::scan_once()
{
    co_await sleep();
    co_await wake_runs();
    for (const auto shard : shards_to_read()) {
        if (shared_.stopping)
            co_return;
        co_await read_next(shard);
        co_await read_sweep(shard);
    }
    permits_wait_ = false;
    // Before the backlog, which may never end. The limits bound how many runs these are.
    shared_.active->begin_permitted();
    co_await begin_backlog();
    co_await refill_lines();
}

std::vector<std::uint32_t> due_scanner::shards_to_read()
{
    const auto now = shared_.clock.now();
    const std::lock_guard lock{mutex_};
    return positions_.shards_to_read(now);
}

/// Completes when a position may be due or wake_scan() is called.
asio::awaitable<void> due_scanner::sleep()
{
    duration span = longest_sleep;
    const auto places = shared_.active->places();
    const auto stall_check_at = check_stall();
    const auto limit_wake_at = shared_.limiter->next_wake();
    {
        const std::lock_guard lock{mutex_};
        const auto now = shared_.clock.now();
        auto until = positions_.read_at(now, places.free > 0);
        if (const auto* first = wakes_.first(); first && !urgent_wait_)
            until = std::min(until, std::max(first->at, wakes_not_before_));
        if (lines_are_short_)
            until = std::min(until, now + failure_pause);
        until = std::min(until, stall_check_at.value_or(until));
        if (limit_wake_at)
            until =
                std::min(until, core::saturating_add(now, *limit_wake_at - shared_.clock.steady()));
        if (std::exchange(woken_, false) || until <= now || shared_.stopping)
            co_return;
        sleeping_until_ = until;
        if (until < now + longest_sleep)
            span = until - now;
    }
    co_await wait(*timer_, span);
    const std::lock_guard lock{mutex_};
    sleeping_until_.reset();
}

/// Returns when to check again, if a stall is possible.
std::optional<time_point> due_scanner::check_stall()
{
    // The search looks at each lane of runs that wait for limits.
    const bool steps_wait = runs_wait() || permits_wait_;
    const auto longest = steps_wait || urgent_wait_ ? longest_waiting() : std::nullopt;
    return stalls_.check_places(steps_wait, urgent_wait_,
                                longest ? std::optional{longest->at} : std::nullopt);
}

/// Activates the runs of the wake list that are due.
asio::awaitable<void> due_scanner::wake_runs()
{
    std::optional<bool> answers; // checked once a round, when a run is retried
    for (std::size_t i = 0; i < wakes_per_round && !shared_.stopping; ++i) {
        std::optional<wake_list::entry> entry;
        {
            const std::lock_guard lock{mutex_};
            const auto now = shared_.clock.now();
            const auto* first = wakes_.first();
            const bool paused = wakes_not_before_ > now && wakes_not_before_ <= now + failure_pause;
            if (!first || first->at > now || paused)
                co_return;
            // Set before the check: a place that is freed after the check wakes the scan.
            urgent_wait_ = true;
            if (shared_.active->places().reserve_is_full)
                co_return;
            urgent_wait_ = false;
            entry = *first;
        }
        if (entry->failures > 0 && !answers) {
            answers = co_await store_answers(*entry);
            if (!*answers)
                co_return;
        }
        const bool owned = entry->shard == no_shard || shared_.epochs[entry->shard] != 0;
        const auto result =
            owned ? shared_.active->begin_urgent(entry->run) : active_runs::begin_result::not_owner;
        if (result == active_runs::begin_result::already_active ||
            result == active_runs::begin_result::not_owner)
            take_failures(entry->run);
    }
}

/// Whether the store can read a run whose activation failed. If the store fails altogether, the
/// wake list pauses.
asio::awaitable<bool> due_scanner::store_answers(const wake_list::entry& failed)
{
    std::exception_ptr failure;
    try {
        co_await shared_.store.find(failed.run);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure)
        co_return true;
    if (is_data_error(error_code_of(failure))) {
        shared_.log({log_level::error, "cannot read run " + to_string(failed.run) + ": " +
                                           detail::exception_text(failure)});
        retry_run(failed.shard, failed.run, failed.failures + 1);
        co_return false;
    }
    const std::lock_guard lock{mutex_};
    wakes_not_before_ = core::saturating_add(shared_.clock.now(), failure_pause);
    co_return false;
}

/// Reads one page of runs that have become due.
asio::awaitable<void> due_scanner::read_next(std::uint32_t shard)
{
    due_position from;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& scan = positions_[shard];
        if (scan.sweep_at && *scan.sweep_at <= now) {
            scan.sweep_at.reset();
            scan.add_sweep({}, now);
        }
        if (!scan.next || scan.next->at > now || !scan.may_be_read(now) ||
            shared_.epochs[shard] == 0)
            co_return;
        from = *scan.next;
        // Runs that become due during the read set it again: see move_next_back().
        scan.next.reset();
    }
    // A record is outdated if an activation of its run ends during the read.
    const noted_ends noted{*shared_.active};
    auto page = co_await read_page(shard, from, now, page_size);
    if (page)
        for (auto& run : page->runs)
            begin_or_queue(shard, std::move(run), noted.since(), false, false);
    move_next_back(shard, page ? page->next : from);
}

/// Reads one page of runs that may have been missed.
asio::awaitable<void> due_scanner::read_sweep(std::uint32_t shard)
{
    due_range range;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& scan = positions_[shard];
        if (!scan.sweep || !scan.may_be_read(now) || shared_.epochs[shard] == 0)
            co_return;
        range = *scan.sweep;
        scan.sweep.reset();
    }
    const auto until = std::min(range.to, now);
    const noted_ends noted{*shared_.active};
    auto page = co_await read_page(shard, range.from, until, page_size);
    if (page)
        for (auto& run : page->runs)
            begin_or_queue(shard, std::move(run), noted.since(), false, false);
    const auto next = page ? page->next : range.from;
    if (!next || shared_.epochs[shard] == 0)
        co_return;
    if (next->at > until) {
        move_next_back(shard, next);
    } else {
        const std::lock_guard lock{mutex_};
        positions_[shard].add_sweep(*next, range.to);
    }
}

/// Gives free places to waiting runs, in the order in which they became due.
asio::awaitable<void> due_scanner::begin_backlog()
{
    std::size_t limit = 1;
    while (!shared_.stopping) {
        const auto free = shared_.active->places().free;
        std::uint32_t shard = 0;
        due_position from;
        const auto now = shared_.clock.now();
        {
            const std::lock_guard lock{mutex_};
            const auto first = positions_.first_readable_backlog(now);
            if (free == 0 || !first)
                co_return;
            from = first->first;
            shard = first->second;
            limit = std::max(limit, free / positions_.backlog_count());
            // During the read, runs_wait() must stay true.
            reading_backlog_ = true;
            set_backlog(shard, std::nullopt);
        }
        limit = std::clamp<std::size_t>(limit, 1, std::min(page_size, std::max(free, limit)));
        const noted_ends noted{*shared_.active};
        auto page = co_await read_page(shard, from, now, limit);
        auto next = page ? page->next : from;
        std::size_t started = 0;
        if (page)
            for (auto& run : page->runs) {
                const due_position position{run.wake_at.value_or(now), run.id};
                // The first run may be gone, so that runs of other shards have waited longer.
                if (shared_.active->places().free == 0 || is_overtaking(position, now)) {
                    next = position;
                    break;
                }
                started += begin_or_queue(shard, std::move(run), noted.since(), true, false);
            }
        // Active and queued runs may lie between the waiting runs.
        limit = started > 0 ? 1 : std::min(2 * limit, page_size);
        const bool is_due = next && next->at <= now;
        if (next && !is_due)
            move_next_back(shard, next);
        const std::lock_guard lock{mutex_};
        reading_backlog_ = false;
        const auto backlog = positions_[shard].backlog;
        const bool moves_back =
            is_due && shared_.epochs[shard] != 0 && (!backlog || *next < *backlog);
        set_backlog(shard, moves_back ? next : backlog);
    }
}

/// Whether a run of a readable shard has waited longer than the run at that position.
bool due_scanner::is_overtaking(const due_position& position, time_point now) const
{
    const std::lock_guard lock{mutex_};
    const auto first = positions_.first_readable_backlog(now);
    return first && first->first < position;
}

asio::awaitable<void> due_scanner::refill_lines()
{
    if (!lines_are_short_.exchange(false))
        co_return;
    for (const auto& [name, entry] : shared_.workflows)
        for (const auto& [status, step] : entry.limited_steps)
            if (co_await refill_line(*step, *entry.impl, status))
                notify_permit_released(*step);
}

/// Reads the first of the runs that did not fit into the line, of all shards in their order.
/// Returns whether more must be read.
asio::awaitable<bool> due_scanner::refill_line(limited_step& step,
                                               const detail::workflow_impl& workflow, int status)
{
    const auto request = shared_.limiter->refill_from(step);
    if (!request || shared_.stopping)
        co_return false;
    const auto now = shared_.clock.now();
    const auto limit = std::clamp(2 * request->free / request->from.size(), min_refill, page_size);
    std::vector<unplaced_run> runs;
    waiting_line::read_positions read;
    std::optional<due_position> end; // runs behind it may be behind runs that were not read
    bool failed = false;
    for (const auto& [from, shard] : request->from) {
        if (end && *end <= from)
            break;
        const auto page = co_await read_page(shard, from, now, limit);
        failed = failed || !page;
        const auto next = page ? page->next : from;
        read[shard] = next && next->at > now ? std::nullopt : next;
        if (next)
            end = std::min(end.value_or(*next), *next);
        if (page)
            add_unplaced(step, workflow, status, shard, *page, runs);
    }
    std::ranges::sort(runs, {}, &unplaced_run::position);
    for (auto& run : runs) {
        const bool is_last = end && *end <= run.position;
        if (is_last || !place_in_line(step, run)) {
            auto& next = read[run.shard];
            next = std::min(next.value_or(run.position), run.position);
            end = std::min(end.value_or(run.position), run.position);
        }
    }
    shared_.active->begin_permitted();
    shared_.limiter->end_refill(step, read);
    if (failed)
        lines_are_short_ = true; // to be retried after a pause
    co_return !failed;
}

/// Adds the runs of the page that are in the status of the step and not active. An active run joins
/// the line when its activation ends.
void due_scanner::add_unplaced(const limited_step& step, const detail::workflow_impl& workflow,
                               int status, std::uint32_t shard, const due_page& page,
                               std::vector<unplaced_run>& runs) const
{
    const auto now = shared_.clock.now();
    for (const auto& run : page.runs) {
        if (run.workflow != workflow.rules.name || run.status != status ||
            shared_.active->contains(run.id))
            continue;
        // Without keys it has begun and failed when it was found due.
        if (auto key = stored_keys(step, workflow, run))
            runs.push_back({{run.wake_at.value_or(now), run.id}, shard, std::move(*key)});
    }
}

/// False if the line is full.
bool due_scanner::place_in_line(limited_step& step, unplaced_run& run)
{
    step_permit permit;
    const auto result = shared_.limiter->refill(step, run.key, run.shard, run.position, permit);
    if (result == run_limiter::refill_result::granted)
        shared_.active->begin_granted({run.position, run.shard, std::move(permit)});
    return result != run_limiter::refill_result::full;
}

/// Empty if the store failed; the shard is not read for a while then.
asio::awaitable<std::optional<due_page>>
due_scanner::read_page(std::uint32_t shard, due_position from, time_point until, std::size_t limit)
{
    std::optional<due_page> page;
    std::exception_ptr failure;
    try {
        page = co_await reader_.read(shard, from, until, limit);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        shared_.log({log_level::warn, "cannot read due runs: " + detail::exception_text(failure)});
        const std::lock_guard lock{mutex_};
        positions_[shard].not_before = core::saturating_add(shared_.clock.now(), failure_pause);
    }
    co_return page;
}

void due_scanner::move_next_back(std::uint32_t shard, std::optional<due_position> position)
{
    const std::lock_guard lock{mutex_};
    // A shard that was lost during the read is scanned from the beginning when it is acquired
    // again.
    if (shared_.epochs[shard] != 0 && position)
        positions_[shard].move_next_back(*position);
}

} // namespace pawl::engine_detail
