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

/// Between sessions of which the first could not read.
constexpr duration first_pause = std::chrono::seconds{1};
constexpr duration longest_pause = std::chrono::minutes{1};

/// How many times prefetch events may wait for their next attempt.
constexpr std::size_t parked_events = 16;

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
    co_await asio::post(strand_, asio::use_awaitable); // stop() may come first
    auto pause = first_pause;
    while (!stopping_) {
        if (is_left_to_others()) {
            co_await sleep(too_old_pause);
            continue;
        }
        const auto failure = co_await session();
        if (fruitful_ || !failure)
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

/// From taking the role to giving it back; says what went wrong.
asio::awaitable<std::exception_ptr> connector_runner::session()
{
    lost_ = fruitful_ = yields_ = false;
    failure_ = nullptr;
    read_ = acked_ = 0;
    if (roles_) {
        failure_ = co_await calls_.run(acquire());
        if (failure_ || stopping_) {
            role_.reset();
            co_return failure_;
        }
        watched_ = true;
        shared_.running.spawn(strand_, watch());
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
    shared_.running.spawn(strand_, read());
    while (!over()) {
        const auto before = acked_;
        const auto problem = co_await calls_.run(acknowledge());
        if (problem && !over())
            failure_ = problem;
        if (!over() && acked_ == before)
            co_await progress_->wait();
    }
    receiving_.cancel();
    room_->set();
    wake_lanes();
    while (reading_ || busy_ > 0)
        co_await progress_->wait();
    // What failed here comes again.
    if (!lost_)
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

asio::awaitable<void> connector_runner::acquire()
{
    role_ = co_await roles_->acquire_reserved("pawl." + consumer());
}

asio::awaitable<void> connector_runner::watch()
{
    progress_->set(); // it can be interrupted from now on
    co_await watching_.run(wait_for_loss());
    watched_ = false;
    progress_->set();
}

/// Ends also when nobody wants to know any more.
asio::awaitable<void> connector_runner::wait_for_loss()
{
    co_await role_->lost();
    lost_ = true;
    log_entry entry{log_level::warn, "another engine may run the connector from now on"};
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

asio::awaitable<void> connector_runner::read()
{
    while (!over()) {
        if (!has_room()) {
            co_await room_->wait();
            continue;
        }
        const auto problem = co_await receiving_.run(receive(std::min(room(), page_size)));
        if (problem && !over())
            failure_ = problem;
        if (!over())
            take(std::exchange(received_, {}));
    }
    received_.clear();
    reading_ = false;
    progress_->set();
}

asio::awaitable<void> connector_runner::receive(std::size_t limit)
{
    received_ = co_await receiver_->receive(limit);
}

bool connector_runner::has_room() const noexcept
{
    const auto most = connector_.options.prefetch;
    return open_ - parked_ < most && parked_ / parked_events < most;
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
    if (position <= acked_)
        co_return;
    co_await receiver_->ack(position);
    acked_ = position;
}

asio::awaitable<void> connector_runner::sleep(duration span)
{
    if (stopping_)
        co_return;
    co_await wait(*pause_, span);
}

} // namespace pawl::engine_detail
