#include "stores/postgres/notification_listener.hpp"

#include "pawl/error.hpp"
#include "stores/common/store_semantics.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <cassert>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr duration default_poll_interval = 5s;
constexpr duration default_poll_only_interval = 250ms;

struct free_notify {
    void operator()(PGnotify* notification) const noexcept { PQfreemem(notification); }
};

} // namespace

notification_listener::notification_listener(std::shared_ptr<notifier> owner)
    : notifier_(std::move(owner)), strand_(asio::make_strand(notifier_->executor_)),
      connection_(
          std::make_shared<connection>(strand_, notifier_->server_, notifier_->warnings_, false,
                                       std::chrono::duration_cast<connection::clock::duration>(
                                           notifier_->options_.statement_timeout))),
      backoff_(notifier_->options_.reconnect_backoff_initial,
               notifier_->options_.reconnect_backoff_max),
      reconnect_timer_(strand_), poll_timer_(strand_)
{
}

void notification_listener::start()
{
    const auto done = [](const std::exception_ptr& escaped) {
        assert(!escaped);
        static_cast<void>(escaped);
    };
    asio::co_spawn(strand_, poll(shared_from_this()), done);
    if (!notifier_->options_.poll_only)
        asio::co_spawn(strand_, listen(shared_from_this()), done);
}

void notification_listener::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->stopped_ = true;
        self->connection_->interrupt();
        self->reconnect_timer_.cancel();
        self->poll_timer_.cancel();
    });
}

asio::awaitable<void> notification_listener::pause(asio::steady_timer& timer, duration time)
{
    if (stopped_)
        co_return;
    timer.expires_after(time);
    asio::use_awaitable_t<> token;
    co_await timer.async_wait(asio::as_tuple(token));
}

asio::awaitable<void> notification_listener::listen(std::shared_ptr<notification_listener> self)
{
    while (!self->stopped_) {
        const bool listens = co_await self->start_listening();
        if (listens) {
            self->backoff_.reset();
            co_await self->receive();
        }
        self->connection_->close();
        co_await self->pause(self->reconnect_timer_, self->backoff_.next());
    }
}

asio::awaitable<bool> notification_listener::start_listening()
{
    request listen;
    listen.sql = fmt::format("LISTEN {}", notifier_->statements_->channel());
    listen.doing = "listening";
    try {
        co_await connection_->open();
        co_await connection_->execute(listen);
        co_return true;
    } catch (...) {
        if (!stopped_)
            notifier_->warnings_->report(warning::listen_failed, std::current_exception());
    }
    co_return false;
}

/// Receives notifications until the connection is lost or fails.
asio::awaitable<void> notification_listener::receive()
{
    try {
        // Nobody was notified of what was committed before LISTEN took effect.
        notify_all_shards();
        bool is_connected = !stopped_;
        while (is_connected) {
            while (const std::unique_ptr<PGnotify, free_notify> received{
                PQnotifies(connection_->handle())})
                handle_payload(received->extra);
            is_connected = co_await connection_->wait_for_input();
        }
        if (!stopped_)
            notifier_->warnings_->report(warning::connection_lost,
                                         std::string_view{"while listening"});
    } catch (...) {
        notifier_->warnings_->report(warning::listen_failed, std::current_exception());
    }
}

void notification_listener::handle_payload(std::string_view payload)
{
    if (payload == request_payload) {
        notifier_->notify_of_requests();
        return;
    }
    auto received = parse_notification(payload);
    if (!received)
        notifier_->warnings_->report(warning::unknown_notification, payload);
    else if (received->origin != notifier_->origin_)
        notifier_->notify_subscribers(std::move(received->changed));
}

void notification_listener::notify_all_shards()
{
    due_by_shard all;
    for (std::uint32_t shard = 0; shard < notifier_->shards_; ++shard)
        all[shard] = time_point::min();
    notifier_->notify_subscribers(std::move(all));
}

void notification_listener::handle_poll_result(result rows)
{
    const bool is_first = commits_.empty();
    due_by_shard changed;
    while (rows.next()) {
        const auto shard = rows.integer();
        if (shard < 0 || shard >= core::max_shards_of_all) {
            notifier_->warnings_->report(warning::invalid_row,
                                         fmt::format("the table shards has a shard {}", shard));
            continue;
        }
        const auto commits = rows.integer();
        std::optional<time_point> due;
        rows.read(due);
        const auto number = static_cast<std::uint32_t>(shard);
        if (std::exchange(commits_[number], commits) != commits && !is_first)
            changed[number] = due;
    }
    if (is_first && notifier_->options_.poll_only)
        notify_all_shards();
    else if (!changed.empty())
        notifier_->notify_subscribers(std::move(changed));
}

duration notification_listener::next_poll_interval()
{
    auto longest = notifier_->options_.poll_interval;
    if (longest == duration{0})
        longest =
            notifier_->options_.poll_only ? default_poll_only_interval : default_poll_interval;
    std::uniform_int_distribution<duration::rep> choose{longest.count() * 3 / 4, longest.count()};
    return duration{choose(random_)};
}

asio::awaitable<void> notification_listener::poll(std::shared_ptr<notification_listener> self)
{
    while (!self->stopped_) {
        try {
            auto rows =
                co_await self->notifier_->readers_->run(self->notifier_->statements_->commits());
            self->handle_poll_result(std::move(rows));
        } catch (...) {
            // The next poll finds what has changed since the last answer.
            self->notifier_->warnings_->report(warning::poll_failed, std::current_exception());
        }
        co_await self->pause(self->poll_timer_, self->next_poll_interval());
    }
}

} // namespace pawl::postgres
