#include "async/timed_wait.hpp"
#include "core/option_check.hpp"
#include "pawl/error.hpp"
#include "pawl/event_streamer.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace pawl {

namespace asio = boost::asio;

namespace {

using streams::topic_waiters;

/// A cursor is the position of the next event: a cursor at the beginning of an empty topic is 1,
/// and 0 means that there is no cursor. Stored: never change.
std::string cursor_of(const std::string& topic, const std::string& consumer)
{
    return "topic/" + std::to_string(topic.size()) + "/" + topic + "/" + consumer;
}

asio::awaitable<void> store_cursor(record_store& store, std::string name, std::uint64_t next)
{
    const std::vector<change> batch{cursor_move{std::move(name), 0, next}};
    co_await store.apply(batch);
}

class receiver final : public event_receiver {
public:
    receiver(std::shared_ptr<record_store> store, std::shared_ptr<topic_waiters> waiters,
             std::string topic, std::string cursor, std::uint64_t next,
             std::unique_ptr<timer> poll_timer, duration poll_interval)
        : store_(std::move(store)), waiters_(std::move(waiters)), topic_(std::move(topic)),
          cursor_(std::move(cursor)), next_(next), notification_(waiters_->add(topic_)),
          poll_timer_(std::move(poll_timer)), poll_interval_(poll_interval)
    {
    }

    ~receiver() override { waiters_->remove(topic_, notification_); }

    asio::awaitable<std::vector<stream_event>> receive(std::size_t limit) override
    {
        if (limit == 0)
            throw error(errc::invalid_argument, "event_receiver::receive: limit must be above 0");
        for (;;) {
            auto events = co_await store_->topic_events(topic_, next_ - 1, limit);
            if (!events.empty()) {
                next_ = events.back().position + 1;
                co_return events;
            }
            if (poll_timer_ && next_ > 1) {
                // The store may have lost events that were read.
                const auto end = co_await store_->topic_end(topic_);
                if (end + 1 < next_) {
                    const auto stored = co_await store_->cursor(cursor_, 0);
                    next_ = std::clamp<std::uint64_t>(stored, 1, end + 1);
                    continue;
                }
            }
            auto notification = notification_->wait();
            auto poll = [event = notification_] {
                event->set();
            };
            co_await async::wait_or_poll(std::move(notification), poll_timer_.get(), poll_interval_,
                                         std::move(poll));
        }
    }

    asio::awaitable<void> ack(std::uint64_t position) override
    {
        // A cursor past the end of the topic would pass over future events.
        if (poll_timer_) {
            const auto end = co_await store_->topic_end(topic_);
            if (position > end)
                co_return;
        }
        co_await store_cursor(*store_, cursor_, position + 1);
    }

private:
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<topic_waiters> waiters_;
    const std::string topic_;
    const std::string cursor_;
    std::uint64_t next_; ///< position of the next event to give
    const std::shared_ptr<async::auto_reset_event> notification_;
    const std::unique_ptr<timer> poll_timer_; ///< null if no other process uses the store
    const duration poll_interval_;
};

class streamer final : public event_streamer {
public:
    streamer(std::shared_ptr<record_store> store, store_streamer_options options)
        : store_(std::move(store)), options_(std::move(options))
    {
    }

    asio::awaitable<std::vector<std::uint64_t>> send(std::string topic,
                                                     std::vector<stream_event> events) override
    {
        std::vector<change> batch;
        for (auto& event : events)
            batch.push_back(publication{topic, std::move(event)});
        const auto results = co_await store_->apply(batch);
        std::vector<std::uint64_t> positions;
        for (const auto& result : results)
            positions.push_back(result.sequence);
        waiters_->notify_topic(topic);
        co_return positions;
    }

    asio::awaitable<std::unique_ptr<event_receiver>>
    subscribe(std::string topic, std::string consumer, subscribe_from from) override
    {
        if (topic.empty() || consumer.empty())
            throw error(errc::invalid_argument,
                        "event_streamer::subscribe: topic and consumer need names");
        const auto name = cursor_of(topic, consumer);
        auto next = co_await store_->cursor(name, 0);
        if (next == 0 && from == subscribe_from::latest) {
            next = co_await store_->topic_end(topic) + 1;
            co_await store_cursor(*store_, name, next);
        }
        std::unique_ptr<timer> poll_timer;
        if (store_->shared()) {
            const auto executor = co_await asio::this_coro::executor;
            poll_timer = options_.clock->make_timer(executor);
        }
        std::unique_ptr<event_receiver> subscribed = std::make_unique<receiver>(
            store_, waiters_, std::move(topic), name, std::max<std::uint64_t>(next, 1),
            std::move(poll_timer), options_.poll_interval);
        co_return subscribed;
    }

    asio::awaitable<void> trim(std::string topic, std::uint64_t up_to) override
    {
        const std::vector<change> batch{topic_trim{std::move(topic), up_to}};
        co_await store_->apply(batch);
    }

private:
    const std::shared_ptr<record_store> store_;
    const store_streamer_options options_;
    const std::shared_ptr<topic_waiters> waiters_ = topic_waiters::of(*store_);
};

} // namespace

std::shared_ptr<event_streamer> store_streamer(std::shared_ptr<record_store> store,
                                               store_streamer_options options)
{
    if (!store)
        throw definition_error("store_streamer: the store must not be null");
    if (!options.clock)
        throw definition_error("store_streamer_options::clock must not be null: leave the default "
                               "for the machine's clocks");
    core::option_check{"store_streamer_options::"}.above_zero("poll_interval",
                                                              options.poll_interval);
    return std::make_shared<streamer>(std::move(store), std::move(options));
}

} // namespace pawl
