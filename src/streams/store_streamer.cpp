#include "pawl/error.hpp"
#include "pawl/event_streamer.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace pawl {

namespace asio = boost::asio;

namespace {

using async::auto_reset_event;
using streams::topic_waiters;

/// A cursor's position is the next event's, so that one that stands at the beginning of an empty
/// topic is told from one that does not exist. Stored: never change.
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
    receiver(std::shared_ptr<record_store> store, std::shared_ptr<topic_waiters> all,
             std::string topic, std::string cursor, std::uint64_t next, std::unique_ptr<timer> look,
             duration look_after)
        : store_(std::move(store)), all_(std::move(all)), topic_(std::move(topic)),
          cursor_(std::move(cursor)), next_(next), news_(all_->add(topic_)), look_(std::move(look)),
          look_after_(look_after)
    {
    }

    ~receiver() override { all_->remove(topic_, news_); }

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
            if (look_ && next_ > 1) {
                // The store may have gone back behind what was read.
                const auto end = co_await store_->topic_end(topic_);
                if (end + 1 < next_) {
                    const auto stored = co_await store_->cursor(cursor_, 0);
                    next_ = std::clamp<std::uint64_t>(stored, 1, end + 1);
                    continue;
                }
            }
            auto waiting = news_->wait();
            auto look = [news = news_] {
                news->set();
            };
            co_await async::wait_or_poll(std::move(waiting), look_.get(), look_after_,
                                         std::move(look));
        }
    }

    asio::awaitable<void> ack(std::uint64_t position) override
    {
        // A cursor that stood behind the end of the topic would pass over events that are to come.
        if (look_) {
            const auto end = co_await store_->topic_end(topic_);
            if (position > end)
                co_return;
        }
        co_await store_cursor(*store_, cursor_, position + 1);
    }

private:
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<topic_waiters> all_;
    const std::string topic_;
    const std::string cursor_;
    std::uint64_t next_; ///< position of the next event to give
    const std::shared_ptr<async::auto_reset_event> news_;
    const std::unique_ptr<timer> look_; ///< null when nobody else writes to the store
    const duration look_after_;
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
        for (auto& each : events)
            batch.push_back(publication{topic, std::move(each)});
        const auto results = co_await store_->apply(batch);
        std::vector<std::uint64_t> positions;
        for (const auto& each : results)
            positions.push_back(each.sequence);
        all_->notify_topic(topic);
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
        std::unique_ptr<timer> look;
        if (store_->shared()) {
            const auto executor = co_await asio::this_coro::executor;
            look = options_.clock->make_timer(executor);
        }
        std::unique_ptr<event_receiver> made = std::make_unique<receiver>(
            store_, all_, std::move(topic), name, std::max<std::uint64_t>(next, 1), std::move(look),
            options_.look);
        co_return made;
    }

    asio::awaitable<void> trim(std::string topic, std::uint64_t up_to) override
    {
        const std::vector<change> batch{topic_trim{std::move(topic), up_to}};
        co_await store_->apply(batch);
    }

private:
    const std::shared_ptr<record_store> store_;
    const store_streamer_options options_;
    const std::shared_ptr<topic_waiters> all_ = topic_waiters::of(*store_);
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
    if (options.look <= duration::zero())
        throw definition_error("store_streamer_options::look must be above zero");
    return std::make_shared<streamer>(std::move(store), std::move(options));
}

} // namespace pawl
