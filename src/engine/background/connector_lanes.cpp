// The lanes of a connector: ordering by key, attempts, retries and dead letters.
#include "core/dead_letter.hpp"
#include "core/decide.hpp"
#include "core/saturating_add.hpp"
#include "core/stable_hash.hpp"
#include "engine/background/connector_runner.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure_kind.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// A finished run accepts no callback, so that a retry cannot succeed.
bool is_for_finished_run(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& e) {
        return e.code() == errc::already_finished;
    } catch (...) {
        return false;
    }
}

std::string name_of(const stream_event& event)
{
    return event.id.empty() ? "at position " + std::to_string(event.position) : event.id;
}

} // namespace

void connector_runner::add_events(std::vector<stream_event> events)
{
    for (auto& event : events) {
        if (event.position <= read_) {
            failure_ = std::make_exception_ptr(error(
                errc::invalid_argument,
                "event_source: positions must grow, from 1: " + std::to_string(event.position) +
                    " follows " + std::to_string(read_)));
            return;
        }
        received_any_ = true;
        read_ = event.position;
        positions_.insert(event.position);
        ++open_;
        const auto name = event.key.empty() ? std::pair{std::string{}, event.position}
                                            : std::pair{event.key, std::uint64_t{0}};
        auto& lane = lanes_[name];
        const bool is_new = !lane;
        if (is_new) {
            lane = std::make_shared<key_lane>();
            lane->name = name;
            lane->pause = shared_.clock.make_timer(strand_);
        }
        lane->events.push_back(std::move(event));
        if (lane->parked)
            ++parked_;
        if (is_new)
            schedule_next_event(lane);
    }
}

/// Schedules the lane's first event, after its delay.
void connector_runner::schedule_next_event(const lane_ptr& lane)
{
    const auto due_at = core::saturating_add(lane->events.front().at, connector_.options.delay);
    const bool is_due = connector_.options.delay == duration::zero();
    schedule_lane(lane, is_due ? duration::zero() : due_at - shared_.clock.now());
}

void connector_runner::schedule_lane(const lane_ptr& lane, duration wait)
{
    if (wait <= duration::zero()) {
        ready_.push_back(lane);
        start_attempts();
        return;
    }
    lane->waiting = true;
    lane->pause->wait(wait, [weak = weak_from_this(), weak_lane = std::weak_ptr{lane}] {
        const auto self = weak.lock();
        const auto waited = weak_lane.lock();
        if (!self || !waited || self->session_over() || !std::exchange(waited->waiting, false))
            return;
        self->unpark_lane(*waited);
        self->ready_.push_back(waited);
        self->start_attempts();
    });
}

/// Schedules the lane's first event again, after the given number of failures.
void connector_runner::schedule_retry(const lane_ptr& lane, int failures)
{
    const auto& first = lane->events.front();
    const auto entropy = core::mix(core::fnv1a(first.key) + first.position) + failures;
    park_lane(lane, core::retry_delay(connector_.options.retry, failures, entropy));
}

/// Lets other lanes have the room of this one while it waits.
void connector_runner::park_lane(const lane_ptr& lane, duration wait)
{
    lane->parked = true;
    parked_ += lane->events.size();
    room_->set();
    schedule_lane(lane, wait);
}

void connector_runner::unpark_lane(key_lane& lane)
{
    if (std::exchange(lane.parked, false))
        parked_ -= lane.events.size();
}

void connector_runner::start_attempts()
{
    while (!session_over() && running_ < connector_.options.max_concurrency && !ready_.empty()) {
        const auto lane = std::move(ready_.front());
        ready_.pop_front();
        const auto started = std::make_shared<attempt>();
        lane->current = started;
        ++running_;
        ++busy_;
        shared_.running.spawn(strand_, run_attempt(lane, started), started->cancel.slot(), started);
    }
}

/// Awaits nothing after the connector's function: after a cancellation, awaiting fails.
asio::awaitable<void> connector_runner::run_attempt(lane_ptr lane, std::shared_ptr<attempt> started)
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::process_lane
    const auto started_at = shared_.clock.now();
    std::exception_ptr failure;
    try {
        auto engine = engine_.lock();
        if (session_over() || !engine)
            throw system_error(make_error_code(errc::not_running));
        auto state = std::make_shared<const detail::event_state>(
            detail::event_state{connector_.name, lane->events.front(), lane->failures + 1});
        started->inside = true;
        limit_attempt(started);
        co_await connector_.work(std::move(engine), std::move(state));
    } catch (...) {
        failure = std::current_exception();
    }
    started->inside = false;
    if (started->timed_out) // also if it returned after its cancellation
        failure =
            std::make_exception_ptr(std::runtime_error("it took longer than attempt_timeout"));
    lane->current.reset();
    --running_;
    try {
        handle_result(lane, failure, started_at);
    } catch (...) {
        failure_ = std::current_exception(); // an event that is not acknowledged is received again
    }
    --busy_;
    start_attempts();
    progress_->set();
}

void connector_runner::limit_attempt(const std::shared_ptr<attempt>& started)
{
    if (connector_.options.attempt_timeout == duration::zero())
        return;
    started->limit = shared_.clock.make_timer(strand_);
    started->limit->wait(connector_.options.attempt_timeout, [weak = std::weak_ptr{started}] {
        const auto current = weak.lock();
        if (!current || !current->inside)
            return;
        current->timed_out = true;
        current->cancel.emit(asio::cancellation_type::terminal);
    });
}

void connector_runner::handle_result(const lane_ptr& lane, std::exception_ptr failure,
                                     time_point began_at)
{
    if (!failure) {
        report_attempt(*lane, {}, began_at, false);
        finish_event(lane);
        return;
    }
    if (!session_over()) // otherwise the event is received again
        handle_failure(lane, failure, began_at);
}

void connector_runner::handle_failure(const lane_ptr& lane, const std::exception_ptr& failure,
                                      time_point began_at)
{
    const auto& policy = connector_.options.retry;
    if (is_too_old(failure)) {
        // The event needs a newer program. This does not count as an attempt.
        report_too_old(*lane, detail::exception_text(failure));
        if (is_left_to_others()) {
            yields_ = true;
            progress_->set();
        } else {
            park_lane(lane, too_old_pause);
        }
        return;
    }
    if (is_infrastructure_failure(failure)) {
        schedule_retry(lane, ++lane->delays);
        return;
    }
    ++lane->failures;
    std::string problem;
    const bool last = is_permanent(policy, failure, problem) || is_for_finished_run(failure) ||
                      (policy.max_attempts > 0 && lane->failures >= policy.max_attempts);
    auto error = detail::exception_text(failure);
    if (!problem.empty())
        error += "; " + problem;
    report_attempt(*lane, error, began_at, last);
    if (!last) {
        schedule_retry(lane, lane->failures);
        return;
    }
    ++busy_;
    shared_.running.spawn(strand_, store_dead_letter(lane, std::move(error)));
}

/// Repeats until the store has the dead letter: only then is the event processed.
asio::awaitable<void> connector_runner::store_dead_letter(lane_ptr lane, std::string error)
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::process_lane
    const auto topic = dead_letter_topic(connector_.name);
    const auto letter = core::make_dead_letter(lane->events.front(), dead_letter_header::connector,
                                               connector_.name, lane->failures, std::move(error));
    bool stored = false;
    for (int failures = 1; !stored && !session_over(); ++failures) {
        pending_commit item{publication{topic, letter}, {}, {}};
        if (!shared_.commits.try_apply(item))
            co_await shared_.commits.async_submit(item, asio::use_awaitable);
        stored = !item.failure;
        if (!stored && is_worth_a_line(failures))
            shared_.log({log_level::error, "cannot store a dead letter in topic " + topic + ": " +
                                               detail::exception_text(item.failure)});
        if (!stored && !session_over())
            co_await wait(*lane->pause, failure_pause);
    }
    --busy_;
    if (stored) {
        streams::topic_waiters::of(shared_.store)->notify_topic(topic);
        finish_event(lane);
    }
    progress_->set();
}

void connector_runner::finish_event(const lane_ptr& lane)
{
    positions_.erase(lane->events.front().position);
    lane->events.pop_front();
    lane->failures = lane->delays = 0;
    --open_;
    if (lane->events.empty())
        lanes_.erase(lane->name);
    else if (!session_over())
        schedule_next_event(lane);
    room_->set();
    progress_->set();
}

/// Exceptions of log and observer must not fail the event.
void connector_runner::report_attempt(const key_lane& lane, const std::string& error,
                                      time_point began_at, bool last)
try {
    const auto& event = lane.events.front();
    const auto process = "connector-" + connector_.name;
    const int attempt = error.empty() ? lane.failures + 1 : lane.failures;
    const auto more = !error.empty() && (last || is_worth_a_line(attempt))
                          ? lines_.admit(shared_.clock.now())
                          : std::nullopt;
    if (more) {
        const auto text = "a connector failed on event " + name_of(event) +
                          (last ? ", which is a dead letter in topic " : "") +
                          (last ? dead_letter_topic(connector_.name) : std::string{}) + *more;
        log_entry entry{last ? log_level::error : log_level::warn, text};
        entry.workflow = connector_.workflow;
        entry.foreign_id = event.key;
        entry.process = process;
        entry.attempt = attempt;
        entry.error = error;
        shared_.log(entry);
    }
    if (!shared_.observer)
        return;
    const auto cause = trace_context::parse(event.trace_parent);
    handler_report report;
    report.kind = handler_kind::connector;
    report.workflow = connector_.workflow;
    report.process = process;
    report.foreign_id = event.key;
    report.attempt = attempt;
    report.began_at = began_at;
    report.took = shared_.clock.now() - began_at;
    report.result = error.empty() ? handler_result::returned
                    : last        ? handler_result::given_up
                                  : handler_result::failed;
    report.error = error;
    report.event_id = event.id;
    report.span = make_span(cause, shared_.tracing);
    report.parent_span = cause.value_or(trace_context{});
    shared_.observer->handler_ended(report);
} catch (...) {
}

/// Whether engines of a newer program can run the connector.
bool connector_runner::is_left_to_others() const noexcept
{
    return roles_ && too_old_ && workflow_.left_to_others;
}

/// Logs it once for the connector.
void connector_runner::report_too_old(const key_lane& lane, const std::string& error)
{
    if (std::exchange(too_old_, true))
        return;
    shared_.mark_too_old(workflow_);
    const auto text = "a connector needs a newer program for event " +
                      name_of(lane.events.front()) +
                      ", and waits for an engine that has it (logged once for the connector)";
    const auto process = "connector-" + connector_.name;
    log_entry entry{log_level::warn, text};
    entry.workflow = connector_.workflow;
    entry.foreign_id = lane.events.front().key;
    entry.process = process;
    entry.error = error;
    shared_.log(entry);
}

void connector_runner::interrupt_attempts()
{
    // Cancels only user code that is suspended, on its own strand: see attempt::cancel(). The
    // attempts are collected first: cancelling one may end its lane and erase it from lanes_.
    std::vector<std::shared_ptr<attempt>> running;
    for (const auto& [name, lane] : lanes_)
        if (lane->current)
            running.push_back(lane->current);
    for (const auto& current : running)
        if (current->inside)
            current->cancel.emit(asio::cancellation_type::terminal);
}

/// Ends the waits of all lanes, which then see that the session is over.
void connector_runner::wake_lanes()
{
    for (const auto& [name, lane] : lanes_)
        lane->pause->cancel();
}

} // namespace pawl::engine_detail
