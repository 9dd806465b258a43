#include "engine/run/due_scanner.hpp"

#include "core/planted.hpp"
#include "core/saturating_add.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/concurrency_limiter.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Positions that lie further back are swept beside what becomes due.
constexpr duration short_way_back = std::chrono::minutes{1};

/// Runs of the wake list that one round activates.
constexpr std::size_t wakes_per_round = 256;

/// Runs that are read for a line at least, as others may stand between them.
constexpr std::size_t least_refill = 16;

/// Longest wait before a run that ends with an error again and again is tried once more.
constexpr duration longest_retry = std::chrono::minutes{5};

duration retry_pause(int failures)
{
    return std::min(longest_retry, failure_pause * (1 << std::clamp(failures - 1, 0, 16)));
}

std::optional<time_point> earliest_deadline(const record& run)
{
    std::optional<time_point> earliest;
    for (const auto& armed : run.deadlines)
        earliest = std::min(earliest.value_or(armed.at), armed.at);
    return earliest;
}

} // namespace

due_scanner::due_scanner(context& shared)
    : shared_(shared), strand_(asio::make_strand(shared.executor)), stalls_(shared),
      places_(shared.store.shards()), timer_(shared.clock.make_timer(strand_))
{
}

bool due_scanner::place::may_be_read(time_point now) const
{
    // A clock that was set back must not put the scan off.
    return not_before <= now || not_before > now + failure_pause;
}

std::optional<time_point> due_scanner::place::read_at(time_point now, bool places_are_free) const
{
    std::optional<time_point> at;
    const auto consider = [&](time_point other) {
        at = std::min(at.value_or(other), other);
    };
    if (next)
        consider(next->at);
    if (again)
        consider(now);
    if (sweep_at)
        consider(*sweep_at);
    if (backlog && places_are_free)
        consider(now);
    if (at && !may_be_read(now))
        at = std::max(*at, not_before);
    return at;
}

void due_scanner::set_shards(std::uint32_t count)
{
    const std::lock_guard lock{mutex_};
    places_ = std::vector<place>(count);
}

void due_scanner::start()
{
    for (std::uint32_t shard = 0; shard < places_.size(); ++shard)
        rescan_shard(shard);
    shared_.running.spawn(strand_, scan());
}

void due_scanner::stop()
{
    wake();
}

void due_scanner::rescan_shard(std::uint32_t shard)
{
    if (shared_.epochs[shard] == 0)
        return;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& at = places_[shard];
        add_sweep(at, {}, now);
        const due_position from{now, {}};
        if (!at.next || from < *at.next)
            at.next = from;
    }
    wake();
}

void due_scanner::rescan_since(std::uint32_t shard, time_point since)
{
    due_at(shard, since);
}

/// Under the lock.
void due_scanner::add_sweep(place& at, due_position from, time_point to)
{
    if (at.again) {
        from = std::min(from, at.again->from);
        to = std::max(to, at.again->to);
    }
    at.again = sweep{from, to};
}

void due_scanner::forget_shard(std::uint32_t shard)
{
    {
        const std::lock_guard lock{mutex_};
        set_backlog(shard, std::nullopt);
        places_[shard] = {};
    }
    for (const auto& [name, entry] : shared_.workflows)
        for (const auto& [status, line] : entry.limiters)
            line->forget_shard(shard);
}

void due_scanner::due_at(std::uint32_t shard, time_point at)
{
    if (shared_.epochs[shard] == 0)
        return;
    {
        const std::lock_guard lock{mutex_};
        auto& place = places_[shard];
        const due_position wanted{at, {}};
        // By id too: the position may stand at another run of the same time.
        if (place.next && *place.next <= wanted)
            return;
        if (place.next && PAWL_PLANTED(wake_up_lost))
            return;
        const auto now = shared_.clock.now();
        const bool far_back = at < now - short_way_back; // `at` may be the earliest time there is
        if (far_back) {
            add_sweep(place, wanted, now);
            const due_position from{now, {}};
            if (!place.next || from < *place.next)
                place.next = from;
        } else {
            place.next = wanted;
        }
        if (!sleeping_until_ || *sleeping_until_ <= at)
            return;
    }
    wake();
}

void due_scanner::admit_run(record begun, std::uint64_t noted, bool inside_call)
{
    const auto shard = shared_.shard_of(begun);
    if (shared_.epochs[shard] != 0)
        consider(shard, std::move(begun), noted, false, inside_call);
}

/// Gives a run that is due to an activation, or notes what it waits for. True when it has begun.
bool due_scanner::consider(std::uint32_t shard, record run, std::uint64_t noted, bool from_backlog,
                           bool inside_call)
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
        if (auto* const line = line_of(run)) {
            // Without an activation, unless there is a permit for it.
            if (line->wait_for_slot(shard, position)) {
                if (deadline)
                    wake_run(shard, run.id, *deadline);
                return false;
            }
        }
    }
    const auto id = run.id;
    const auto result = shared_.active->begin(std::move(run), noted, inside_call,
                                              from_backlog && !PAWL_PLANTED(turn_lost));
    if (result == active_runs::begin_result::full && urgent)
        wake_run(shard, id, now);
    else if (result == active_runs::begin_result::full)
        wait_for_place(shard, position, deadline);
    return result == active_runs::begin_result::yes;
}

/// Of a run that is due for a step of which only some may run at a time.
concurrency_limiter* due_scanner::line_of(const record& run) const
{
    const auto workflow = shared_.workflows.find(run.workflow);
    if (workflow == shared_.workflows.end())
        return nullptr;
    const auto line = workflow->second.limiters.find(run.status);
    return line == workflow->second.limiters.end() ? nullptr : line->second.get();
}

void due_scanner::wait_for_place(std::uint32_t shard, const due_position& position,
                                 std::optional<time_point> urgent_at)
{
    if (shared_.epochs[shard] == 0)
        return;
    {
        const std::lock_guard lock{mutex_};
        const auto& known = places_[shard].backlog;
        if (!known || position < *known)
            set_backlog(shard, position);
    }
    if (urgent_at)
        wake_run(shard, position.id, *urgent_at);
    // One may have ended between the refusal and the note of it; or the scanner is to look for a
    // stall.
    wake();
}

/// Under the lock.
void due_scanner::set_backlog(std::uint32_t shard, std::optional<due_position> position)
{
    auto& known = places_[shard].backlog;
    if (known)
        backlogs_.erase({*known, shard});
    known = position;
    if (known)
        backlogs_.emplace(*known, shard);
    waiting_shards_ = backlogs_.size() + reading_backlog_;
}

void due_scanner::wake_run(std::uint32_t shard, run_id run, time_point at)
{
    add_wake({at, run, shard, 0});
}

void due_scanner::retry_run(std::optional<std::uint32_t> shard, run_id run, int failures)
{
    const auto at = core::saturating_add(shared_.clock.now(), retry_pause(failures));
    add_wake({at, run, shard.value_or(no_shard), failures});
}

void due_scanner::add_wake(const wake_list::entry& added)
{
    {
        const std::lock_guard lock{mutex_};
        if (const auto left_out = wakes_.add(added)) {
            const auto sweep_later = [&](place& at) {
                at.sweep_at = std::min(at.sweep_at.value_or(left_out->at), left_out->at);
            };
            if (left_out->shard != no_shard)
                sweep_later(places_[left_out->shard]);
            else
                std::ranges::for_each(places_, sweep_later);
        }
        wake_count_ = wakes_.size();
        if (!sleeping_until_ || *sleeping_until_ <= added.at)
            return;
    }
    wake();
}

int due_scanner::take_failures(run_id run)
{
    if (wake_count_ == 0)
        return 0;
    const std::lock_guard lock{mutex_};
    const auto known = wakes_.take(run);
    wake_count_ = wakes_.size();
    return known ? known->failures : 0;
}

void due_scanner::notify_place_freed()
{
    if (waiting_shards_ == 0 && !urgent_wait_)
        return;
    urgent_wait_ = false;
    wake();
}

void due_scanner::notify_slot_released(concurrency_limiter& of)
{
    if (of.is_short() && !lines_are_short_.exchange(true))
        wake();
}

void due_scanner::wake()
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
        if (!backlogs_.empty())
            consider(backlogs_.begin()->first);
    }
    for (const auto& [name, entry] : shared_.workflows)
        for (const auto& [status, line] : entry.limiters)
            if (const auto waits = line->first())
                consider(*waits);
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
        // What was being read is read again.
        for (std::uint32_t shard = 0; shard < places_.size(); ++shard)
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
    co_await begin_waiting();
    co_await refill_lines();
}

std::vector<std::uint32_t> due_scanner::shards_to_read()
{
    std::vector<std::uint32_t> shards;
    const auto now = shared_.clock.now();
    const std::lock_guard lock{mutex_};
    for (std::uint32_t shard = 0; shard < places_.size(); ++shard)
        if (places_[shard].read_at(now, false).value_or(time_point::max()) <= now)
            shards.push_back(shard);
    return shards;
}

/// Completes when some position may be due, or something has changed.
asio::awaitable<void> due_scanner::sleep()
{
    duration span = longest_sleep;
    const auto places = shared_.active->places();
    const auto look_at = look_for_stall();
    {
        const std::lock_guard lock{mutex_};
        const auto now = shared_.clock.now();
        auto until = time_point::max();
        for (const auto& each : places_)
            until = std::min(until, each.read_at(now, places.free > 0).value_or(until));
        if (const auto* first = wakes_.first(); first && !urgent_wait_)
            until = std::min(until, std::max(first->at, wakes_not_before_));
        if (lines_are_short_)
            until = std::min(until, now + failure_pause);
        until = std::min(until, look_at.value_or(until));
        if (std::exchange(woken_, false) || until <= now || shared_.stopping)
            co_return;
        sleeping_until_ = until;
        if (until < now + longest_sleep)
            span = until - now;
    }
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* clock, duration wait) { clock->wait(wait, std::move(handler)); },
        asio::use_awaitable, timer_.get(), span);
    const std::lock_guard lock{mutex_};
    sleeping_until_.reset();
}

/// Gives the time at which to look again, if that matters.
std::optional<time_point> due_scanner::look_for_stall()
{
    const auto longest = longest_waiting();
    return stalls_.check_places(runs_wait(), urgent_wait_,
                                longest ? std::optional{longest->at} : std::nullopt);
}

/// Activates the runs whose time has come.
asio::awaitable<void> due_scanner::wake_runs()
{
    std::optional<bool> answers; // asked of the store once a round, when a run is tried again
    for (std::size_t i = 0; i < wakes_per_round && !shared_.stopping; ++i) {
        std::optional<wake_list::entry> entry;
        {
            const std::lock_guard lock{mutex_};
            const auto now = shared_.clock.now();
            const auto* first = wakes_.first();
            const bool puts_off =
                wakes_not_before_ > now && wakes_not_before_ <= now + failure_pause;
            if (!first || first->at > now || puts_off)
                co_return;
            if (shared_.active->places().reserve_is_full) {
                urgent_wait_ = true;
                co_return;
            }
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

/// Whether it is worth while to try runs again that could not be read or stored; if not, all wait.
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
    const bool of_this_run = is_data_error(error_code_of(failure));
    if (of_this_run) {
        shared_.log({log_level::error, "cannot read run " + to_string(failed.run) + ": " +
                                           detail::exception_text(failure)});
        retry_run(failed.shard, failed.run, failed.failures + 1);
        co_return false;
    }
    const std::lock_guard lock{mutex_};
    wakes_not_before_ = core::saturating_add(shared_.clock.now(), failure_pause);
    co_return false;
}

/// One page of what has become due.
asio::awaitable<void> due_scanner::read_next(std::uint32_t shard)
{
    due_position from;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& place = places_[shard];
        if (place.sweep_at && *place.sweep_at <= now) {
            place.sweep_at.reset();
            add_sweep(place, {}, now);
        }
        if (!place.next || place.next->at > now || !place.may_be_read(now) ||
            shared_.epochs[shard] == 0)
            co_return;
        from = *place.next;
        // What becomes due while the store is read is found beside the page: see remember().
        place.next.reset();
    }
    // What is read of a run is out of date if the run is active meanwhile, and has ended that when
    // the answer comes.
    const noted_ends noted{*shared_.active};
    auto page = co_await read(shard, from, now, page_size);
    if (page)
        for (auto& run : page->runs)
            consider(shard, std::move(run), noted.since(), false, false);
    remember(shard, page ? page->next : from);
}

/// One page of what may have been overlooked.
asio::awaitable<void> due_scanner::read_sweep(std::uint32_t shard)
{
    sweep range;
    const auto now = shared_.clock.now();
    {
        const std::lock_guard lock{mutex_};
        auto& place = places_[shard];
        if (!place.again || !place.may_be_read(now) || shared_.epochs[shard] == 0)
            co_return;
        range = *place.again;
        place.again.reset();
    }
    const auto until = std::min(range.to, now);
    const noted_ends noted{*shared_.active};
    auto page = co_await read(shard, range.from, until, page_size);
    if (page)
        for (auto& run : page->runs)
            consider(shard, std::move(run), noted.since(), false, false);
    const auto next = page ? page->next : range.from;
    if (!next || shared_.epochs[shard] == 0)
        co_return;
    if (next->at > until) {
        remember(shard, next);
    } else {
        const std::lock_guard lock{mutex_};
        add_sweep(places_[shard], *next, range.to);
    }
}

/// Gives free places to the runs that wait for one, in the order in which they became due.
asio::awaitable<void> due_scanner::begin_waiting()
{
    std::size_t limit = 1;
    while (!shared_.stopping) {
        const auto free = shared_.active->places().free;
        std::uint32_t shard = 0;
        due_position from;
        const auto now = shared_.clock.now();
        {
            const std::lock_guard lock{mutex_};
            const auto first = std::ranges::find_if(backlogs_, [&](const auto& entry) {
                return places_[entry.second].may_be_read(now);
            });
            if (free == 0 || first == backlogs_.end())
                co_return;
            shard = first->second;
            from = first->first;
            limit = std::max(limit, free / backlogs_.size());
            // As long as it is read, others still wait.
            reading_backlog_ = true;
            set_backlog(shard, std::nullopt);
        }
        limit = std::clamp<std::size_t>(limit, 1, std::min(page_size, std::max(free, limit)));
        const noted_ends noted{*shared_.active};
        auto page = co_await read(shard, from, now, limit);
        auto next = page ? page->next : from;
        std::size_t begun = 0;
        if (page)
            for (auto& run : page->runs) {
                const due_position position{run.wake_at.value_or(now), run.id};
                // What the shard was known to wait for may be gone: others may have waited longer.
                if (shared_.active->places().free == 0 || is_overtaking(position, now)) {
                    next = position;
                    break;
                }
                begun += consider(shard, std::move(run), noted.since(), true, false);
            }
        // What is active or stands in a line lies between those that wait here.
        limit = begun > 0 ? 1 : std::min(2 * limit, page_size);
        const bool is_due = next && next->at <= now;
        if (next && !is_due)
            remember(shard, next);
        const std::lock_guard lock{mutex_};
        reading_backlog_ = false;
        const auto& known = places_[shard].backlog;
        if (is_due && shared_.epochs[shard] != 0 && (!known || *next < *known))
            set_backlog(shard, next);
        else
            set_backlog(shard, known);
    }
}

/// Whether runs of another shard, which can be read, wait since before that.
bool due_scanner::is_overtaking(const due_position& position, time_point now) const
{
    const std::lock_guard lock{mutex_};
    for (const auto& [waits, shard] : backlogs_) {
        if (position <= waits || PAWL_PLANTED(shard_overtakes))
            return false;
        if (places_[shard].may_be_read(now))
            return true;
    }
    return false;
}

asio::awaitable<void> due_scanner::refill_lines()
{
    if (!lines_are_short_.exchange(false))
        co_return;
    for (const auto& [name, entry] : shared_.workflows)
        for (const auto& [status, line] : entry.limiters)
            if (co_await refill(*line, *entry.impl, status))
                notify_slot_released(*line);
}

/// Reads one page of those that the line had no room for. True when there is more to do.
asio::awaitable<bool> due_scanner::refill(concurrency_limiter& line,
                                          const detail::workflow_impl& workflow, int status)
{
    const auto from = line.refill_from();
    if (!from || shared_.stopping)
        co_return false;
    const auto shard = from->shard;
    const auto now = shared_.clock.now();
    const auto limit = std::clamp(2 * from->room, least_refill, page_size);
    auto page = co_await read(shard, from->from, now, limit);
    auto next = page ? page->next : from->from;
    if (page)
        for (const auto& run : page->runs) {
            // An active one joins the line itself when it ends.
            if (run.workflow != workflow.rules.name || run.status != status ||
                shared_.active->contains(run.id) ||
                (PAWL_PLANTED(place_in_line_lost) && active_runs::is_urgent(run, now)))
                continue;
            const due_position at{run.wake_at.value_or(now), run.id};
            const auto granted = line.refill(shard, at);
            if (!granted) {
                next = at;
                break;
            }
            if (*granted && !shared_.active->begin_granted(run.id, line))
                shared_.active->release_slot(line);
        }
    if (next && next->at > now)
        next.reset();
    line.refilled(shard, next);
    if (!page)
        lines_are_short_ = true; // after a pause
    co_return page.has_value();
}

/// Empty when the store failed; the shard is not read for a while then.
asio::awaitable<std::optional<due_page>> due_scanner::read(std::uint32_t shard, due_position from,
                                                           time_point until, std::size_t limit)
{
    std::optional<due_page> page;
    std::exception_ptr failure;
    try {
        page = co_await shared_.store.due(shard, from, until, limit);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && is_data_error(error_code_of(failure))) {
        failure = nullptr;
        try {
            page = co_await read_past_damage(shard, from, until, limit);
        } catch (...) {
            failure = std::current_exception();
        }
    }
    if (failure) {
        shared_.log(
            {log_level::warn, "cannot read what is due: " + detail::exception_text(failure)});
        const std::lock_guard lock{mutex_};
        places_[shard].not_before = core::saturating_add(shared_.clock.now(), failure_pause);
    }
    co_return page;
}

void due_scanner::remember(std::uint32_t shard, std::optional<due_position> next)
{
    const std::lock_guard lock{mutex_};
    auto& known = places_[shard].next;
    // A shard that was lost while it was read is looked at from the beginning when it is taken.
    if (shared_.epochs[shard] != 0 && next && (!known || *next < *known))
        known = next;
}

} // namespace pawl::engine_detail
