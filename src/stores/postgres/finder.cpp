#include "stores/postgres/finder.hpp"

#include "pawl/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// Runs in one statement: their objects must fit into one answer.
constexpr std::size_t max_runs = 256;

} // namespace

finder::finder(asio::any_io_executor executor, std::shared_ptr<pool> readers,
               std::shared_ptr<const queries> statements)
    : executor_(std::move(executor)), readers_(std::move(readers)),
      statements_(std::move(statements))
{
}

struct finder::enqueue {
    finder* owner;
    lookup* run;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        run->done.emplace(std::move(handler));
        owner->submit(*run);
    }
};

asio::awaitable<std::optional<record>> finder::find(run_id id)
{
    const auto self = shared_from_this();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    lookup run;
    run.id = id;
    // Only this work keeps the caller's context running while the server works.
    run.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(enqueue{this, &run}, token);
    if (run.failure)
        std::rethrow_exception(run.failure);
    co_return std::move(run.found);
}

void finder::submit(lookup& run)
{
    // As soon as the request is queued, it may be read and its caller be gone.
    auto self = shared_from_this();
    {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(&run);
        if (std::exchange(is_reading_, true))
            return;
    }
    asio::co_spawn(executor_, read_waiting(std::move(self)), [](const std::exception_ptr& escaped) {
        assert(!escaped);
        static_cast<void>(escaped);
    });
}

std::vector<finder::lookup*> finder::take_waiting()
{
    const std::lock_guard lock{mutex_};
    const auto count = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), max_runs));
    std::vector<lookup*> taken{waiting_.begin(), waiting_.begin() + count};
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    is_reading_ = !taken.empty();
    return taken;
}

asio::awaitable<void> finder::read_waiting(std::shared_ptr<finder> self)
{
    for (auto runs = self->take_waiting(); !runs.empty(); runs = self->take_waiting()) {
        const bool is_corrupt = co_await self->read_runs(runs);
        // A corrupt record must not fail the requests for other runs.
        if (is_corrupt && runs.size() > 1)
            for (lookup*& run : runs)
                co_await self->read_runs({&run, 1});
        for (lookup* run : runs)
            finish(*run);
    }
}

void finder::finish(lookup& run)
{
    // As soon as the completion is posted, the request may be gone: post() must not use it.
    const auto executor = std::move(run.executor);
    asio::post(executor, [done = std::move(*run.done)]() mutable { std::move(done)(); });
}

/// True when a record is corrupt.
asio::awaitable<bool> finder::read_runs(std::span<lookup* const> runs)
{
    std::exception_ptr failure;
    bool is_corrupt = false;
    try {
        co_await query_runs(runs);
    } catch (const error& failed) {
        failure = std::current_exception();
        is_corrupt = failed.code() == errc::store_corrupt;
    } catch (...) {
        failure = std::current_exception();
    }
    for (lookup* run : runs)
        run->failure = failure;
    co_return is_corrupt;
}

asio::awaitable<void> finder::query_runs(std::span<lookup* const> runs)
{
    std::vector<run_id> ids;
    ids.reserve(runs.size());
    for (const lookup* run : runs)
        ids.push_back(run->id);
    auto rows = co_await readers_->run(statements_->find(ids));
    auto found = queries::read_records(std::move(rows));
    std::ranges::sort(found, {}, &record::id);
    for (lookup* run : runs) {
        const auto match = std::ranges::lower_bound(found, run->id, {}, &record::id);
        if (match != found.end() && match->id == run->id)
            run->found = *match;
    }
}

} // namespace pawl::postgres
