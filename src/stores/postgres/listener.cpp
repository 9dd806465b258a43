#include "stores/postgres/listener.hpp"

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

constexpr duration default_interval = 5s;
constexpr duration default_interval_of_polling = 250ms;

struct free_notify {
    void operator()(PGnotify* notification) const noexcept { PQfreemem(notification); }
};

} // namespace

listener::listener(std::shared_ptr<news> owner)
    : news_(std::move(owner)), strand_(asio::make_strand(news_->executor_)),
      link_(std::make_shared<connection>(strand_, news_->where_, news_->troubles_, false,
                                         std::chrono::duration_cast<connection::clock::duration>(
                                             news_->options_.statement_timeout))),
      waits_(news_->options_.reconnect_backoff_initial, news_->options_.reconnect_backoff_max),
      reconnect_(strand_), interval_(strand_)
{
}

void listener::start()
{
    const auto done = [](const std::exception_ptr& escaped) {
        assert(!escaped);
        static_cast<void>(escaped);
    };
    asio::co_spawn(strand_, poll(shared_from_this()), done);
    if (!news_->options_.poll_only)
        asio::co_spawn(strand_, follow(shared_from_this()), done);
}

void listener::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->stopped_ = true;
        self->link_->interrupt();
        self->reconnect_.cancel();
        self->interval_.cancel();
    });
}

asio::awaitable<void> listener::pause(asio::steady_timer& timer, duration time)
{
    if (stopped_)
        co_return;
    timer.expires_after(time);
    asio::use_awaitable_t<> token;
    co_await timer.async_wait(asio::as_tuple(token));
}

asio::awaitable<void> listener::follow(std::shared_ptr<listener> self)
{
    while (!self->stopped_) {
        const bool listens = co_await self->begin_to_subscribe();
        if (listens) {
            self->waits_.reset();
            co_await self->receive();
        }
        self->link_->close();
        co_await self->pause(self->reconnect_, self->waits_.next());
    }
}

asio::awaitable<bool> listener::begin_to_subscribe()
{
    request listen;
    listen.sql = fmt::format("LISTEN {}", news_->statements_->channel());
    listen.doing = "listening";
    try {
        co_await link_->open();
        co_await link_->execute(listen);
        co_return true;
    } catch (...) {
        if (!stopped_)
            news_->troubles_->tell(trouble::not_listening, std::current_exception());
    }
    co_return false;
}

/// Until the connection is lost, or something else has failed.
asio::awaitable<void> listener::receive()
{
    try {
        // What was committed meanwhile has been told to nobody here.
        tell_gap();
        bool goes_on = !stopped_;
        while (goes_on) {
            while (const std::unique_ptr<PGnotify, free_notify> heard{PQnotifies(link_->handle())})
                hear_payload(heard->extra);
            goes_on = co_await link_->wait_for_input();
        }
        if (!stopped_)
            news_->troubles_->tell(trouble::connection_lost, std::string_view{"while listening"});
    } catch (...) {
        news_->troubles_->tell(trouble::not_listening, std::current_exception());
    }
}

void listener::hear_payload(std::string_view payload)
{
    auto heard = parse_notification(payload);
    if (!heard)
        news_->troubles_->tell(trouble::foreign_notification, payload);
    else if (heard->origin != news_->origin_)
        news_->tell(std::move(heard->changed));
}

void listener::tell_gap()
{
    due_by_shard all;
    for (std::uint32_t shard = 0; shard < news_->shards_; ++shard)
        all[shard] = time_point::min();
    news_->tell(std::move(all));
}

void listener::hear_commits(result rows)
{
    const bool is_first = commits_.empty();
    due_by_shard changed;
    while (rows.next()) {
        const auto shard = rows.integer();
        if (shard < 0 || shard >= core::max_shards_of_all) {
            news_->troubles_->tell(trouble::foreign_row,
                                   fmt::format("the table shards has a shard {}", shard));
            continue;
        }
        const auto commits = rows.integer();
        std::optional<time_point> due;
        rows.read(due);
        const auto place = static_cast<std::uint32_t>(shard);
        if (std::exchange(commits_[place], commits) != commits && !is_first)
            changed[place] = due;
    }
    if (is_first && news_->options_.poll_only)
        tell_gap();
    else if (!changed.empty())
        news_->tell(std::move(changed));
}

duration listener::next_interval()
{
    auto longest = news_->options_.poll_interval;
    if (longest == duration{0})
        longest = news_->options_.poll_only ? default_interval_of_polling : default_interval;
    std::uniform_int_distribution<duration::rep> choose{longest.count() * 3 / 4, longest.count()};
    return duration{choose(random_)};
}

asio::awaitable<void> listener::poll(std::shared_ptr<listener> self)
{
    while (!self->stopped_) {
        try {
            auto rows = co_await self->news_->asking_->run(self->news_->statements_->commits());
            self->hear_commits(std::move(rows));
        } catch (...) {
            // Next time, what has changed since the last answer is told.
            self->news_->troubles_->tell(trouble::not_asking, std::current_exception());
        }
        co_await self->pause(self->interval_, self->next_interval());
    }
}

} // namespace pawl::postgres
