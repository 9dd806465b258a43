#include "streams/workflow_source.hpp"

#include "async/timed_wait.hpp"
#include "pawl/error.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <deque>
#include <set>
#include <span>
#include <utility>

namespace pawl::streams {

namespace asio = boost::asio;

namespace {

constexpr std::size_t page_size = 256;

/// Events that may be passed over before a cursor is moved past them.
constexpr std::uint64_t max_unsaved_events = 1024;

/// How far a shard has been read. A stored cursor is the sequence of the next event: a cursor
/// before the first event is 1, and 0 means that there is no cursor.
struct read_position {
    bool known = false;
    std::uint64_t read = 0;  ///< the last sequence that was read
    std::uint64_t saved = 0; ///< the sequence before the stored cursor
    std::size_t open = 0;    ///< events that were read and are not acknowledged
};

class workflow_receiver final : public event_receiver {
public:
    workflow_receiver(std::shared_ptr<const workflow_source> source,
                      std::shared_ptr<record_store> store,
                      std::shared_ptr<commit_subscriber> commits, std::string cursor,
                      std::unique_ptr<timer> poll_timer, std::shared_ptr<void> registration)
        : source_(std::move(source)), store_(std::move(store)), commits_(std::move(commits)),
          cursor_(std::move(cursor)), positions_(commits_->shards()),
          poll_timer_(std::move(poll_timer)), registration_(std::move(registration))
    {
        // Null if no other process uses the store.
        subscription_ =
            store_->subscribe([subscriber = commits_](std::span<const shard_change> changes) {
                for (const auto& change : changes)
                    subscriber->notify_shard(change.shard);
            });
    }

    asio::awaitable<std::vector<stream_event>> receive(std::size_t limit) override
    {
        if (limit == 0)
            throw error(errc::invalid_argument, "event_receiver::receive: limit must be above 0");
        for (;;) {
            std::exception_ptr failure;
            for (std::uint32_t checked = 0; checked < positions_.size() && ready_.size() < limit;
                 ++checked, next_shard_ = (next_shard_ + 1) % commits_->shards())
                if (const auto shard = commits_->first() + next_shard_; commits_->is_unread(shard))
                    failure = co_await try_read_page(shard, std::move(failure));
            co_await save_passed_over();
            if (!ready_.empty())
                co_return take_ready(limit);
            if (failure)
                std::rethrow_exception(failure);
            auto notification = commits_->wait();
            auto poll = [commits = commits_] {
                for (std::uint32_t slice = 0; slice < commits->shards(); ++slice)
                    commits->notify_shard(commits->first() + slice);
            };
            co_await async::wait_or_poll(std::move(notification), poll_timer_.get(),
                                         source_->poll_interval(), std::move(poll));
        }
    }

    /// May be called while a receive is under way. Nothing is forgotten before
    /// the store has the cursors: a call that failed may be repeated.
    asio::awaitable<void> ack(std::uint64_t position) override
    {
        std::vector<std::uint64_t> next(positions_.size());
        std::vector<std::size_t> done(positions_.size());
        for (const auto& event : unacknowledged_) {
            if (event.position > position)
                break;
            const auto slice = event.shard - commits_->first();
            const auto& shard = positions_[slice];
            // Without an open event, the cursor moves past the passed-over events, too.
            next[slice] = (++done[slice] == shard.open ? shard.read : event.sequence) + 1;
        }
        std::vector<change> batch;
        for (std::uint32_t slice = 0; slice < next.size(); ++slice)
            if (next[slice] != 0)
                batch.push_back(cursor_move{cursor_, commits_->first() + slice, next[slice]});
        if (!batch.empty())
            co_await store_->apply(batch);

        for (; !unacknowledged_.empty() && unacknowledged_.front().position <= position;
             unacknowledged_.pop_front())
            --position_in(unacknowledged_.front().shard).open;
        for (std::uint32_t slice = 0; slice < next.size(); ++slice)
            if (next[slice] != 0)
                positions_[slice].saved = std::min(next[slice] - 1, positions_[slice].read);
    }

private:
    struct read_event {
        std::uint64_t position;
        std::uint32_t shard;
        std::uint64_t sequence;
    };

    read_position& position_in(std::uint32_t shard)
    {
        return positions_[shard - commits_->first()];
    }

    /// Returns the failure of the read, or else `earlier`: a shard that cannot be
    /// read does not delay the events of the others.
    asio::awaitable<std::exception_ptr> try_read_page(std::uint32_t shard,
                                                      std::exception_ptr earlier)
    {
        try {
            co_await read_page(shard);
        } catch (...) {
            earlier = std::current_exception();
        }
        co_return earlier;
    }

    /// Keeps the events in `ready_`, where a cancelled receive leaves them for the next. Marks the
    /// shard as read itself: a cancellation may prevent the call.
    asio::awaitable<void> read_page(std::uint32_t shard)
    {
        commits_->mark_read(shard);
        auto& progress = position_in(shard);
        std::vector<event> page;
        std::exception_ptr failure;
        try {
            if (!progress.known) {
                const auto next = co_await store_->cursor(cursor_, shard);
                progress.read = progress.saved = std::max<std::uint64_t>(next, 1) - 1;
                progress.known = true;
            }
            page = co_await store_->events(shard, progress.read, page_size);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure || page.size() == page_size)
            commits_->notify_shard(shard);
        if (failure)
            std::rethrow_exception(failure);
        if (page.empty() && poll_timer_)
            co_await check_log(shard);
        for (const auto& event : page) {
            progress.read = event.sequence;
            if (event.workflow != source_->workflow() || !source_->wants(event.kind))
                continue;
            ++progress.open;
            ready_.push_back(to_stream_event(event));
            ready_.back().position = ++last_position_;
            unacknowledged_.push_back({last_position_, shard, event.sequence});
        }
    }

    /// If the log now ends before the last event that was read, reads again from the stored cursor.
    asio::awaitable<void> check_log(std::uint32_t shard)
    {
        auto& progress = position_in(shard);
        const auto end = co_await store_->log_end(shard);
        if (end >= progress.read)
            co_return;
        std::set<std::uint64_t> lost;
        for (const auto& event : unacknowledged_)
            if (event.shard == shard)
                lost.insert(event.position);
        std::erase_if(unacknowledged_,
                      [&](const read_event& event) { return event.shard == shard; });
        std::erase_if(ready_, [&](const auto& event) { return lost.contains(event.position); });
        progress = {};
        commits_->notify_shard(shard);
    }

    /// Moves cursors past unwanted events, so that the next receiver does not read them again.
    asio::awaitable<void> save_passed_over()
    {
        std::vector<change> batch;
        for (std::uint32_t slice = 0; slice < positions_.size(); ++slice) {
            auto& progress = positions_[slice];
            if (progress.open > 0 || progress.read - progress.saved < max_unsaved_events)
                continue;
            batch.push_back(cursor_move{cursor_, commits_->first() + slice, progress.read + 1});
            progress.saved = progress.read; // also if the store fails: the next call saves it
        }
        if (!batch.empty())
            co_await store_->apply(batch);
    }

    std::vector<stream_event> take_ready(std::size_t limit)
    {
        std::vector<stream_event> events;
        for (; !ready_.empty() && events.size() < limit; ready_.pop_front())
            events.push_back(std::move(ready_.front()));
        return events;
    }

    const std::shared_ptr<const workflow_source> source_;
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<commit_subscriber> commits_;
    const std::string cursor_;
    std::vector<read_position> positions_;     ///< by shard, from the first one of the workflow
    const std::unique_ptr<timer> poll_timer_;  ///< null if no other process uses the store
    const std::shared_ptr<void> registration_; ///< see workflow_source::open_consumers()
    std::shared_ptr<void> subscription_;
    std::uint32_t next_shard_ = 0;
    std::uint64_t last_position_ = 0;
    std::deque<stream_event> ready_;        ///< read, and not yet received
    std::deque<read_event> unacknowledged_; ///< in order of position
};

} // namespace

workflow_source::workflow_source(std::shared_ptr<record_store> store,
                                 std::shared_ptr<commit_feed> commits, std::shared_ptr<clock> clock,
                                 std::string workflow, workflow_event_options options)
    : store_(std::move(store)), commits_(std::move(commits)), clock_(std::move(clock)),
      workflow_(std::move(workflow)), options_(std::move(options))
{
}

bool workflow_source::wants(event_kind kind) const noexcept
{
    return std::ranges::find(options_.kinds, kind) != options_.kinds.end();
}

/// Stored: never change.
std::string workflow_source::cursor_of(const std::string& consumer) const
{
    return "events/" + workflow_ + "/" + consumer;
}

asio::awaitable<std::unique_ptr<event_receiver>> workflow_source::open(std::string consumer)
{
    if (consumer.empty())
        throw error(errc::invalid_argument, "event_source::open: the consumer needs a name");
    auto cursor = cursor_of(consumer);
    const auto first = co_await store_->first_shards({workflow_});
    co_await store_begin(cursor, first.at(0));
    const auto self = shared_from_this();
    const auto wants_change = [self](const transition& change) {
        return change.next.workflow == self->workflow_ && self->wants(change.kind);
    };
    auto commits = std::make_shared<commit_subscriber>(first.at(0), store_->shards(), wants_change);
    commits_->add(commits);
    std::unique_ptr<timer> poll_timer;
    if (store_->shared()) {
        const auto executor = co_await asio::this_coro::executor;
        poll_timer = clock_->make_timer(executor);
    }
    std::unique_ptr<event_receiver> receiver = std::make_unique<workflow_receiver>(
        self, store_, std::move(commits), std::move(cursor), std::move(poll_timer),
        register_consumer(std::move(consumer)));
    co_return receiver;
}

/// Stores where a new consumer begins, in each shard. A consumer with cursors is one that reads
/// this log.
asio::awaitable<void> workflow_source::store_begin(std::string cursor, std::uint32_t first)
{
    std::vector<change> batch;
    for (auto shard = first; shard < first + store_->shards(); ++shard) {
        const auto known = co_await store_->cursor(cursor, shard);
        if (known != 0)
            continue;
        std::uint64_t end = 0;
        if (options_.from == subscribe_from::latest)
            end = co_await store_->log_end(shard);
        batch.push_back(cursor_move{cursor, shard, end + 1});
    }
    if (!batch.empty())
        co_await store_->apply(batch);
}

asio::awaitable<std::uint64_t> workflow_source::position(std::string consumer, std::uint32_t shard)
{
    const auto cursor = cursor_of(consumer);
    const auto next = co_await store_->cursor(cursor, shard);
    co_return next;
}

std::set<std::string> workflow_source::open_consumers() const
{
    const std::lock_guard lock{mutex_};
    return {open_.begin(), open_.end()};
}

std::shared_ptr<void> workflow_source::register_consumer(std::string consumer)
{
    {
        const std::lock_guard lock{mutex_};
        open_.insert(consumer);
    }
    return {static_cast<void*>(this), [self = shared_from_this(), consumer](void*) {
                const std::lock_guard lock{self->mutex_};
                self->open_.extract(consumer);
            }};
}

} // namespace pawl::streams
