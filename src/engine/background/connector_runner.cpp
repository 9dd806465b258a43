#include "engine/background/connector_runner.hpp"

#include "core/dead_letter.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// The wait after a session that failed.
constexpr duration first_pause = std::chrono::seconds{1};
constexpr duration longest_pause = std::chrono::minutes{1};

/// The most parked events, as a multiple of `prefetch`.
constexpr std::size_t max_parked_prefetches = 16;

} // namespace

connector_runner::connector_runner(engine_parts& shared, detail::connector_impl connector,
                                   std::shared_ptr<role_scheduler> roles)
    : shared_(shared), connector_(std::move(connector)),
      workflow_(shared.workflows.find(connector_.workflow)->second), roles_(std::move(roles)),
      strand_(asio::make_strand(shared.executor)), pause_(shared.clock.make_timer(strand_)),
      calls_(shared.running, strand_), receiving_(shared.running, strand_),
      watching_(shared.running, strand_)
{
}

/// Stored, in cursors, and behind "pawl." in roles: never change.
std::string connector_runner::consumer() const
{
    return "connector/" + connector_.name;
}

void connector_runner::start(std::weak_ptr<detail::engine_api> engine)
{
    engine_ = std::move(engine);
    shared_.running.spawn(strand_, work());
}

void connector_runner::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->stopping_ = true;
        self->calls_.cancel();
        self->receiving_.cancel();
        self->pause_->cancel();
        self->room_->set();
        self->progress_->set();
    });
}

void connector_runner::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->calls_.cancel();
        self->interrupt_attempts();
    });
}

asio::awaitable<void> connector_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable); // stop() may run first
    auto pause = first_pause;
    while (!stopping_) {
        if (is_left_to_others()) {
            co_await sleep(too_old_pause);
            continue;
        }
        const auto failure = co_await run_session();
        if (received_any_ || !failure)
            pause = first_pause;
        if (stopping_ || !failure)
            continue;
        const auto text = detail::exception_text(failure);
        log_entry entry{log_level::warn, "a connector cannot read its events"};
        const auto process = "connector-" + connector_.name;
        entry.workflow = connector_.workflow;
        entry.process = process;
        entry.error = text;
        shared_.log(entry);
        co_await sleep(pause);
        pause = std::min(pause * 2, longest_pause);
    }
}

/// Acquires the role, processes events and releases the role. Returns why the session ended, or
/// null.
asio::awaitable<std::exception_ptr> connector_runner::run_session()
{
    role_lost_ = received_any_ = yields_ = false;
    failure_ = nullptr;
    read_ = acknowledged_ = 0;
    if (roles_) {
        failure_ = co_await calls_.run(acquire_role());
        if (failure_ || stopping_) {
            role_.reset();
            co_return failure_;
        }
        watched_ = true;
        shared_.running.spawn(strand_, watch_role());
    }
    failure_ = co_await calls_.run(open_source());
    if (!failure_)
        co_await read_and_acknowledge();
    co_await end_session();
    co_return failure_;
}

asio::awaitable<void> connector_runner::read_and_acknowledge()
{
    reading_ = true;
    shared_.running.spawn(strand_, read_events());
    while (!session_over()) {
        const auto before = acknowledged_;
        const auto problem = co_await calls_.run(acknowledge());
        if (problem && !session_over())
            failure_ = problem;
        if (!session_over() && acknowledged_ == before)
            co_await progress_->wait();
    }
    receiving_.cancel();
    room_->set();
    wake_lanes();
    while (reading_ || busy_ > 0)
        co_await progress_->wait();
    // An event whose acknowledgement fails here is received again.
    if (!role_lost_)
        co_await calls_.run(acknowledge());
}

asio::awaitable<void> connector_runner::end_session()
{
    ready_.clear();
    lanes_.clear();
    positions_.clear();
    open_ = 0;
    parked_ = 0;
    receiver_.reset();
    if (!role_)
        co_return;
    while (watched_) {
        watching_.cancel();
        co_await progress_->wait();
    }
    co_await calls_.run(role_->release());
    role_.reset();
}

asio::awaitable<void> connector_runner::acquire_role()
{
    role_ = co_await roles_->acquire_reserved("pawl." + consumer());
}

asio::awaitable<void> connector_runner::watch_role()
{
    progress_->set(); // watching_ can be cancelled from now on
    const auto failure = co_await watching_.run(wait_for_loss());
    // Unless the session has ended, a role that cannot be watched counts as lost.
    if (failure && !session_over())
        note_lost_role(": " + detail::exception_text(failure));
    watched_ = false;
    progress_->set();
}

/// Also ends when it is cancelled at the end of the session.
asio::awaitable<void> connector_runner::wait_for_loss()
{
    co_await role_->lost();
    note_lost_role({});
}

void connector_runner::note_lost_role(const std::string& reason)
{
    role_lost_ = true;
    const auto text = "another engine may run the connector from now on" + reason;
    log_entry entry{log_level::warn, text};
    const auto process = "connector-" + connector_.name;
    entry.workflow = connector_.workflow;
    entry.process = process;
    shared_.log(entry);
    calls_.cancel();
    interrupt_attempts();
    progress_->set();
}

asio::awaitable<void> connector_runner::open_source()
{
    receiver_ = co_await connector_.source->open(consumer());
}

asio::awaitable<void> connector_runner::read_events()
{
    while (!session_over()) {
        if (!has_room()) {
            co_await room_->wait();
            continue;
        }
        const auto problem = co_await receiving_.run(receive_events(std::min(room(), page_size)));
        if (problem && !session_over())
            failure_ = problem;
        if (!session_over())
            add_events(std::exchange(received_, {}));
    }
    received_.clear();
    reading_ = false;
    progress_->set();
}

asio::awaitable<void> connector_runner::receive_events(std::size_t limit)
{
    received_ = co_await receiver_->receive(limit);
}

bool connector_runner::has_room() const noexcept
{
    const auto prefetch = connector_.options.prefetch;
    return open_ - parked_ < prefetch && parked_ / max_parked_prefetches < prefetch;
}

std::size_t connector_runner::room() const noexcept
{
    return connector_.options.prefetch - (open_ - parked_);
}

asio::awaitable<void> connector_runner::redrive(stream_event letter)
{
    auto engine = engine_.lock();
    if (!engine || !connector_.work)
        throw system_error(make_error_code(errc::not_running));
    auto state = std::make_shared<const detail::event_state>(
        detail::event_state{connector_.name, core::restore_event(std::move(letter)), 1});
    co_await connector_.work(std::move(engine), std::move(state));
}

asio::awaitable<void> connector_runner::acknowledge()
{
    const auto position = positions_.empty() ? read_ : *positions_.begin() - 1;
    if (position <= acknowledged_)
        co_return;
    co_await receiver_->ack(position);
    acknowledged_ = position;
}

asio::awaitable<void> connector_runner::sleep(duration span)
{
    if (stopping_)
        co_return;
    co_await wait(*pause_, span);
}

} // namespace pawl::engine_detail
