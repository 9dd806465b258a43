#include "streams/workflow_source.hpp"

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

/// How far a cursor may stay behind what has been read when no event is open.
constexpr std::uint64_t max_unsaved_events = 1024;

/// How far a shard has been read. A stored cursor is the next event's sequence, so that one that
/// stands before the first event is told from one that does not exist.
struct place {
    bool known = false;
    std::uint64_t read = 0;  ///< the last sequence that was read
    std::uint64_t saved = 0; ///< the last one that the stored cursor is behind
    std::size_t open = 0;    ///< events that were read and are not acknowledged
};

class workflow_receiver final : public event_receiver {
public:
    workflow_receiver(std::shared_ptr<const workflow_source> source,
                      std::shared_ptr<record_store> store, std::shared_ptr<commit_subscriber> ear,
                      std::string cursor, std::unique_ptr<timer> look, std::shared_ptr<void> open)
        : source_(std::move(source)), store_(std::move(store)), ear_(std::move(ear)),
          cursor_(std::move(cursor)), places_(ear_->shards()), look_(std::move(look)),
          open_(std::move(open))
    {
        // By other processes too; null if there are none.
        others_ = store_->subscribe([ear = ear_](std::span<const shard_change> news) {
            for (const auto& each : news)
                ear->tell(each.shard);
        });
    }

    asio::awaitable<std::vector<stream_event>> receive(std::size_t limit) override
    {
        if (limit == 0)
            throw error(errc::invalid_argument, "event_receiver::receive: limit must be above 0");
        for (;;) {
            for (std::uint32_t looked = 0; looked < places_.size() && ready_.size() < limit;
                 ++looked, next_shard_ = (next_shard_ + 1) % ear_->shards())
                if (const auto shard = ear_->first() + next_shard_; ear_->has_news(shard))
                    co_await read_page(shard);
            co_await save_passed_over();
            if (!ready_.empty())
                co_return give(limit);
            auto waiting = ear_->wait();
            auto look = [ear = ear_] {
                for (std::uint32_t slice = 0; slice < ear->shards(); ++slice)
                    ear->tell(ear->first() + slice);
            };
            co_await async::wait_or_poll(std::move(waiting), look_.get(), source_->look_after(),
                                         std::move(look));
        }
    }

    /// May come while a receive is under way.
    asio::awaitable<void> ack(std::uint64_t position) override
    {
        std::vector<std::uint64_t> next(places_.size());
        for (; !given_.empty() && given_.front().position <= position; given_.pop_front()) {
            const auto& done = given_.front();
            auto& at = place_of(done.shard);
            --at.open;
            // With nothing left, also what was passed over is behind it.
            next[done.shard - ear_->first()] = (at.open == 0 ? at.read : done.sequence) + 1;
        }
        std::vector<change> batch;
        for (std::uint32_t slice = 0; slice < next.size(); ++slice)
            if (next[slice] != 0)
                batch.push_back(cursor_move{cursor_, ear_->first() + slice, next[slice]});
        if (!batch.empty())
            co_await store_->apply(batch);
        for (std::uint32_t slice = 0; slice < next.size(); ++slice)
            if (next[slice] != 0)
                places_[slice].saved = next[slice] - 1;
    }

private:
    struct given {
        std::uint64_t position;
        std::uint32_t shard;
        std::uint64_t sequence;
    };

    place& place_of(std::uint32_t shard) { return places_[shard - ear_->first()]; }

    /// What was read is kept in `ready_`, where a cancelled receive leaves it for the next. The
    /// shard's news are taken here and not before the call, which a cancellation may prevent.
    asio::awaitable<void> read_page(std::uint32_t shard)
    {
        ear_->take(shard);
        auto& at = place_of(shard);
        std::vector<event> page;
        std::exception_ptr failure;
        try {
            if (!at.known) {
                const auto next = co_await store_->cursor(cursor_, shard);
                at.read = at.saved = std::max<std::uint64_t>(next, 1) - 1;
                at.known = true;
            }
            page = co_await store_->events(shard, at.read, page_size);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure || page.size() == page_size)
            ear_->tell(shard);
        if (failure)
            std::rethrow_exception(failure);
        if (page.empty() && look_)
            co_await check_log(shard);
        for (const auto& what : page) {
            at.read = what.sequence;
            if (what.workflow != source_->workflow() || !source_->wants(what.kind))
                continue;
            ++at.open;
            ready_.push_back(to_stream_event(what));
            ready_.back().position = ++last_position_;
            given_.push_back({last_position_, shard, what.sequence});
        }
    }

    /// When the log has gone back behind what was read, it is read from the stored cursor again.
    asio::awaitable<void> check_log(std::uint32_t shard)
    {
        auto& at = place_of(shard);
        const auto end = co_await store_->log_end(shard);
        if (end >= at.read)
            co_return;
        std::set<std::uint64_t> lost;
        for (const auto& each : given_)
            if (each.shard == shard)
                lost.insert(each.position);
        std::erase_if(given_, [&](const given& each) { return each.shard == shard; });
        std::erase_if(ready_, [&](const auto& each) { return lost.contains(each.position); });
        at = {};
        ear_->tell(shard);
    }

    /// So that the next receiver need not read again what nobody wants.
    asio::awaitable<void> save_passed_over()
    {
        std::vector<change> batch;
        for (std::uint32_t slice = 0; slice < places_.size(); ++slice) {
            auto& at = places_[slice];
            if (at.open > 0 || at.read - at.saved < max_unsaved_events)
                continue;
            batch.push_back(cursor_move{cursor_, ear_->first() + slice, at.read + 1});
            at.saved = at.read; // if the store fails now, the next time will do
        }
        if (!batch.empty())
            co_await store_->apply(batch);
    }

    std::vector<stream_event> give(std::size_t limit)
    {
        std::vector<stream_event> events;
        for (; !ready_.empty() && events.size() < limit; ready_.pop_front())
            events.push_back(std::move(ready_.front()));
        return events;
    }

    const std::shared_ptr<const workflow_source> source_;
    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<commit_subscriber> ear_;
    const std::string cursor_;
    std::vector<place> places_;         ///< by shard, from the first one of the workflow
    const std::unique_ptr<timer> look_; ///< null when nobody else writes to the store
    const std::shared_ptr<void> open_;  ///< see workflow_source::open_consumers()
    std::shared_ptr<void> others_;
    std::uint32_t next_shard_ = 0;
    std::uint64_t last_position_ = 0;
    std::deque<stream_event> ready_; ///< read, and not yet given
    std::deque<given> given_;        ///< read, and not yet acknowledged; in order of position
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
    co_await begin(cursor, first.at(0));
    const auto self = shared_from_this();
    const auto wants_change = [self](const transition& change) {
        return change.next.workflow == self->workflow_ && self->wants(change.kind);
    };
    auto ear = std::make_shared<commit_subscriber>(first.at(0), store_->shards(), wants_change);
    commits_->add(ear);
    std::unique_ptr<timer> look;
    if (store_->shared()) {
        const auto executor = co_await asio::this_coro::executor;
        look = clock_->make_timer(executor);
    }
    std::unique_ptr<event_receiver> made =
        std::make_unique<workflow_receiver>(self, store_, std::move(ear), std::move(cursor),
                                            std::move(look), note_open(std::move(consumer)));
    co_return made;
}

/// Stores where a consumer begins that is new, in each shard: who has cursors, reads this log.
asio::awaitable<void> workflow_source::begin(std::string cursor, std::uint32_t first)
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

std::shared_ptr<void> workflow_source::note_open(std::string consumer)
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
