#include "pawl/error.hpp"
#include "pawl/event_streamer.hpp"
#include "streams/topic_waiters.hpp"

#include <algorithm>
#include <utility>

namespace pawl {

namespace asio = boost::asio;

namespace {

using streams::news;
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
             std::string topic, std::string cursor, std::uint64_t next)
        : store_(std::move(store)), all_(std::move(all)), topic_(std::move(topic)),
          cursor_(std::move(cursor)), next_(next), news_(all_->add(topic_))
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
            co_await news_->wait();
        }
    }

    asio::awaitable<void> ack(std::uint64_t position) override
    {
        co_await store_cursor(*store_, cursor_, position + 1);
    }

private:
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<topic_waiters> all_;
    const std::string topic_;
    const std::string cursor_;
    std::uint64_t next_; ///< position of the next event to give
    const std::shared_ptr<news> news_;
};

class streamer final : public event_streamer {
public:
    explicit streamer(std::shared_ptr<record_store> store) : store_(std::move(store)) {}

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
        all_->tell(topic);
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
        std::unique_ptr<event_receiver> made = std::make_unique<receiver>(
            store_, all_, std::move(topic), name, std::max<std::uint64_t>(next, 1));
        co_return made;
    }

    asio::awaitable<void> trim(std::string topic, std::uint64_t up_to) override
    {
        const std::vector<change> batch{topic_trim{std::move(topic), up_to}};
        co_await store_->apply(batch);
    }

private:
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<topic_waiters> all_ = topic_waiters::of(*store_);
};

} // namespace

std::shared_ptr<event_streamer> store_streamer(std::shared_ptr<record_store> store)
{
    return std::make_shared<streamer>(std::move(store));
}

} // namespace pawl
