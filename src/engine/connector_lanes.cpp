// How a connector works its events off: in lanes, attempt by attempt, until each is done or put
// aside.
#include "core/decide.hpp"
#include "core/hash.hpp"
#include "core/later.hpp"
#include "engine/connector_runner.hpp"
#include "engine/error_text.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// What the connector's function does not answer for: it is not counted.
bool is_no_fault_of_the_event(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const system_error& e) {
        const auto code = e.code();
        return code == errc::overloaded || code == errc::not_running ||
               code == errc::store_unavailable || code == errc::store_locked ||
               code == errc::store_read_only || code == errc::store_full ||
               code == errc::store_unflushed || code == errc::program_too_old;
    } catch (...) {
        return false;
    }
}

bool is_permanent(const retry_policy& policy, const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const detail::unreadable_event&) {
        return true;
    } catch (...) {
        return policy.permanent && policy.permanent(failure);
    }
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
        if (is_new)
            schedule_next(own);
    }
}

/// The lane's next event, when its time has come.
void connector_runner::schedule_next(const lane_ptr& own)
{
    const auto at = core::later(own->events.front().at, connector_.options.lag);
    const bool now = connector_.options.lag == duration::zero();
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
        self->ready_.push_back(waited);
        self->dispatch();
    });
}

void connector_runner::dispatch()
{
    while (!over() && running_ < connector_.options.parallel && !ready_.empty()) {
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
        auto state = std::make_shared<const detail::arrival_state>(
            detail::arrival_state{connector_.name, own->events.front(), own->failures + 1});
        made->inside = true;
        limit_attempt(made);
        co_await connector_.work(std::move(engine), std::move(state));
    } catch (...) {
        failure = std::current_exception();
    }
    made->inside = false;
    if (failure && made->late)
        failure = std::make_exception_ptr(std::runtime_error("it took longer than attempt_limit"));
    own->now.reset();
    --running_;
    judge(own, failure, shared_.clock.now() - begun);
    --busy_;
    dispatch();
    progress_->tell();
}

void connector_runner::limit_attempt(const std::shared_ptr<attempt>& made)
{
    if (connector_.options.attempt_limit == duration::zero())
        return;
    made->limit = shared_.clock.make_timer(strand_);
    made->limit->wait(connector_.options.attempt_limit, [weak = std::weak_ptr{made}] {
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
    if (over())
        return; // it comes again
    const auto& policy = connector_.options.retry;
    const auto& what = own->events.front();
    const auto entropy = core::mix(core::fnv1a(what.key) + what.position);
    if (is_no_fault_of_the_event(failure)) {
        ++own->delays;
        schedule(own, core::back_off(policy, own->delays, entropy + own->delays));
        return;
    }
    ++own->failures;
    const bool last = is_permanent(policy, failure) ||
                      (policy.max_attempts > 0 && own->failures >= policy.max_attempts);
    const auto error = error_text(failure);
    report(*own, error, took, last);
    if (!last) {
        schedule(own, core::back_off(policy, own->failures, entropy + own->failures));
        return;
    }
    ++busy_;
    shared_.running.spawn(strand_, put_aside(own, error));
}

/// Until the store has it: only then is the event worked off.
asio::awaitable<void> connector_runner::put_aside(lane_ptr own, std::string error)
{
    auto given_up = own->events.front();
    if (given_up.id.empty())
        given_up.id = detail::event_name(given_up);
    given_up.headers["connector"] = connector_.name;
    given_up.headers["attempts"] = std::to_string(own->failures);
    given_up.headers["error"] = std::move(error);
    bool stored = false;
    while (!stored && !over()) {
        commit item{publication{put_aside_topic(connector_.name), given_up}, {}, {}};
        if (!shared_.commits.apply_now(item))
            co_await shared_.commits.async_submit(item, asio::use_awaitable);
        stored = !item.failure;
        if (!stored && !over())
            co_await wait(*own->pause, failure_pause);
    }
    --busy_;
    if (stored) {
        streams::topic_waiters::of(shared_.store)->tell(put_aside_topic(connector_.name));
        done(own);
    }
    progress_->tell();
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
    room_->tell();
    progress_->tell();
}

void connector_runner::report(const lane& own, const std::string& error, duration took,
                              bool last) const
{
    const auto& what = own.events.front();
    const auto process = "connector-" + connector_.name;
    const int attempt = error.empty() ? own.failures + 1 : own.failures;
    if (!error.empty()) {
        const auto text = "a connector failed on event " + detail::event_name(what) +
                          (last ? ", which is put aside in topic " : "") +
                          (last ? put_aside_topic(connector_.name) : std::string{});
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
}

void connector_runner::interrupt_attempts()
{
    // Only user code that is known to be suspended, on its own strand: see activation::interrupt.
    for (const auto& [name, own] : lanes_)
        if (own->now && own->now->inside)
            own->now->cancel.emit(asio::cancellation_type::terminal);
}

/// Their waits end, and see why.
void connector_runner::wake_lanes()
{
    for (const auto& [name, own] : lanes_)
        own->pause->cancel();
}

} // namespace pawl::engine_detail
