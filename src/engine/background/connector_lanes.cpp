// How a connector works its events off: in lanes, attempt by attempt, until each is done or a
// dead letter.
#include "core/dead_letter.hpp"
#include "core/decide.hpp"
#include "core/saturating_add.hpp"
#include "core/stable_hash.hpp"
#include "engine/background/connector_runner.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Also by default: a run that has finished takes no callback any more, however often it is tried.
bool is_for_a_finished_run(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& e) {
        return e.code() == errc::already_finished;
    } catch (...) {
        return false;
    }
}

std::string shown(const stream_event& event)
{
    return event.id.empty() ? "at position " + std::to_string(event.position) : event.id;
}

} // namespace

void connector_runner::take(std::vector<stream_event> events)
{
    for (auto& what : events) {
        if (what.position <= read_) {
            failure_ = std::make_exception_ptr(error(
                errc::invalid_argument,
                "event_source: positions must grow, from 1: " + std::to_string(what.position) +
                    " follows " + std::to_string(read_)));
            return;
        }
        fruitful_ = true;
        read_ = what.position;
        positions_.insert(what.position);
        ++open_;
        const auto name = what.key.empty() ? std::pair{std::string{}, what.position}
                                           : std::pair{what.key, std::uint64_t{0}};
        auto& own = lanes_[name];
        const bool is_new = !own;
        if (is_new) {
            own = std::make_shared<lane>();
            own->name = name;
            own->pause = shared_.clock.make_timer(strand_);
        }
        own->events.push_back(std::move(what));
        if (own->parked)
            ++parked_;
        if (is_new)
            schedule_next(own);
    }
}

/// The lane's next event, when its time has come.
void connector_runner::schedule_next(const lane_ptr& own)
{
    const auto at = core::saturating_add(own->events.front().at, connector_.options.delay);
    const bool now = connector_.options.delay == duration::zero();
    schedule(own, now ? duration::zero() : at - shared_.clock.now());
}

void connector_runner::schedule(const lane_ptr& own, duration wait)
{
    if (wait <= duration::zero()) {
        ready_.push_back(own);
        dispatch();
        return;
    }
    own->waiting = true;
    own->pause->wait(wait, [weak = weak_from_this(), kept = std::weak_ptr{own}] {
        const auto self = weak.lock();
        const auto waited = kept.lock();
        if (!self || !waited || self->over() || !std::exchange(waited->waiting, false))
            return;
        self->unpark(*waited);
        self->ready_.push_back(waited);
        self->dispatch();
    });
}

/// The lane's first event once more, after the `times`-th failure.
void connector_runner::repeat(const lane_ptr& own, int times)
{
    const auto& first = own->events.front();
    const auto entropy = core::mix(core::fnv1a(first.key) + first.position) + times;
    park(own, core::retry_delay(connector_.options.retry, times, entropy));
}

/// Others have its place meanwhile.
void connector_runner::park(const lane_ptr& own, duration wait)
{
    own->parked = true;
    parked_ += own->events.size();
    room_->set();
    schedule(own, wait);
}

void connector_runner::unpark(lane& waiting)
{
    if (std::exchange(waiting.parked, false))
        parked_ -= waiting.events.size();
}

void connector_runner::dispatch()
{
    while (!over() && running_ < connector_.options.max_concurrency && !ready_.empty()) {
        const auto own = std::move(ready_.front());
        ready_.pop_front();
        const auto made = std::make_shared<attempt>();
        own->now = made;
        ++running_;
        ++busy_;
        shared_.running.spawn(strand_, run_attempt(own, made), made->cancel.slot(), made);
    }
}

/// After a cancellation nothing can be awaited here any more.
asio::awaitable<void> connector_runner::run_attempt(lane_ptr own, std::shared_ptr<attempt> made)
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::run_lane
    const auto begun = shared_.clock.now();
    std::exception_ptr failure;
    try {
        auto engine = engine_.lock();
        if (over() || !engine)
            throw system_error(make_error_code(errc::not_running));
        auto state = std::make_shared<const detail::event_state>(
            detail::event_state{connector_.name, own->events.front(), own->failures + 1});
        made->inside = true;
        limit_attempt(made);
        co_await connector_.work(std::move(engine), std::move(state));
    } catch (...) {
        failure = std::current_exception();
    }
    made->inside = false;
    if (made->late) // also when it returned then: it was cut off
        failure =
            std::make_exception_ptr(std::runtime_error("it took longer than attempt_timeout"));
    own->now.reset();
    --running_;
    try {
        judge(own, failure, shared_.clock.now() - begun);
    } catch (...) {
        failure_ = std::current_exception(); // what is not acknowledged comes again
    }
    --busy_;
    dispatch();
    progress_->set();
}

void connector_runner::limit_attempt(const std::shared_ptr<attempt>& made)
{
    if (connector_.options.attempt_timeout == duration::zero())
        return;
    made->limit = shared_.clock.make_timer(strand_);
    made->limit->wait(connector_.options.attempt_timeout, [weak = std::weak_ptr{made}] {
        const auto running = weak.lock();
        if (!running || !running->inside)
            return;
        running->late = true;
        running->cancel.emit(asio::cancellation_type::terminal);
    });
}

void connector_runner::judge(const lane_ptr& own, std::exception_ptr failure, duration took)
{
    if (!failure) {
        report(*own, {}, took, false);
        done(own);
        return;
    }
    if (!over()) // else it comes again
        judge_failure(own, failure, took);
}

void connector_runner::judge_failure(const lane_ptr& own, const std::exception_ptr& failure,
                                     duration took)
{
    const auto& policy = connector_.options.retry;
    if (is_too_old(failure)) {
        // The event is for the connector of a newer program: that is no attempt.
        report_too_old(*own, detail::exception_text(failure));
        if (is_left_to_others()) {
            yields_ = true;
            progress_->set();
        } else {
            park(own, too_old_pause);
        }
        return;
    }
    if (is_infrastructure_failure(failure)) {
        repeat(own, ++own->delays);
        return;
    }
    ++own->failures;
    std::string problem;
    const bool last = is_permanent(policy, failure, problem) || is_for_a_finished_run(failure) ||
                      (policy.max_attempts > 0 && own->failures >= policy.max_attempts);
    auto error = detail::exception_text(failure);
    if (!problem.empty())
        error += "; " + problem;
    report(*own, error, took, last);
    if (!last) {
        repeat(own, own->failures);
        return;
    }
    ++busy_;
    shared_.running.spawn(strand_, bury(own, std::move(error)));
}

/// Until the store has the letter: only then is the event worked off.
asio::awaitable<void> connector_runner::bury(lane_ptr own, std::string error)
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::run_lane
    const auto topic = dead_letter_topic(connector_.name);
    const auto letter = core::make_dead_letter(own->events.front(), dead_letter_header::connector,
                                               connector_.name, own->failures, std::move(error));
    bool stored = false;
    while (!stored && !over()) {
        pending_commit item{publication{topic, letter}, {}, {}};
        if (!shared_.commits.try_apply(item))
            co_await shared_.commits.async_submit(item, asio::use_awaitable);
        stored = !item.failure;
        if (!stored && !over())
            co_await wait(*own->pause, failure_pause);
    }
    --busy_;
    if (stored) {
        streams::topic_waiters::of(shared_.store)->notify_topic(topic);
        done(own);
    }
    progress_->set();
}

void connector_runner::done(const lane_ptr& own)
{
    positions_.erase(own->events.front().position);
    own->events.pop_front();
    own->failures = own->delays = 0;
    --open_;
    if (own->events.empty())
        lanes_.erase(own->name);
    else if (!over())
        schedule_next(own);
    room_->set();
    progress_->set();
}

/// What logs and observers throw is not the event's.
void connector_runner::report(const lane& own, const std::string& error, duration took, bool last)
try {
    const auto& what = own.events.front();
    const auto process = "connector-" + connector_.name;
    const int attempt = error.empty() ? own.failures + 1 : own.failures;
    const auto more = !error.empty() && (last || is_worth_a_line(attempt))
                          ? lines_.admit(shared_.clock.now())
                          : std::nullopt;
    if (more) {
        const auto text = "a connector failed on event " + shown(what) +
                          (last ? ", which is a dead letter in topic " : "") +
                          (last ? dead_letter_topic(connector_.name) : std::string{}) + *more;
        log_entry entry{last ? log_level::error : log_level::warn, text};
        entry.workflow = connector_.workflow;
        entry.foreign_id = what.key;
        entry.process = process;
        entry.attempt = attempt;
        entry.error = error;
        shared_.log(entry);
    }
    if (!shared_.observer)
        return;
    handler_report made;
    made.workflow = connector_.workflow;
    made.process = process;
    made.foreign_id = what.key;
    made.attempt = attempt;
    made.took = took;
    made.result = error.empty() ? handler_result::returned
                  : last        ? handler_result::given_up
                                : handler_result::failed;
    made.error = error;
    shared_.observer->handler_ended(made);
} catch (...) {
}

/// Engines of a newer program can have it.
bool connector_runner::is_left_to_others() const noexcept
{
    return roles_ && too_old_ && workflow_.left_to_others;
}

/// Once for the connector.
void connector_runner::report_too_old(const lane& own, const std::string& error)
{
    if (std::exchange(too_old_, true))
        return;
    shared_.mark_too_old(workflow_);
    const auto text = "a connector needs a newer program for event " + shown(own.events.front()) +
                      ", and waits for an engine that has it (told once for the connector)";
    const auto process = "connector-" + connector_.name;
    log_entry entry{log_level::warn, text};
    entry.workflow = connector_.workflow;
    entry.foreign_id = own.events.front().key;
    entry.process = process;
    entry.error = error;
    shared_.log(entry);
}

void connector_runner::interrupt_attempts()
{
    // Only user code that is known to be suspended, on its own strand: see attempt::cancel().
    // What is cancelled may end its lane, so lanes_ is not gone through meanwhile.
    std::vector<std::shared_ptr<attempt>> under_way;
    for (const auto& [name, own] : lanes_)
        if (own->now)
            under_way.push_back(own->now);
    for (const auto& each : under_way)
        if (each->inside)
            each->cancel.emit(asio::cancellation_type::terminal);
}

/// Their waits end, and see why.
void connector_runner::wake_lanes()
{
    for (const auto& [name, own] : lanes_)
        own->pause->cancel();
}

} // namespace pawl::engine_detail
