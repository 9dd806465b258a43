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

/// Runs in one statement: their objects have to fit into one answer.
constexpr std::size_t most_runs = 256;

} // namespace

finder::finder(asio::any_io_executor executor, std::shared_ptr<pool> readers,
               std::shared_ptr<const queries> statements)
    : executor_(std::move(executor)), readers_(std::move(readers)),
      statements_(std::move(statements))
{
}

struct finder::enqueue {
    finder* where;
    wanted* run;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        run->done.emplace(std::move(handler));
        where->submit(*run);
    }
};

asio::awaitable<std::optional<record>> finder::find(run_id id)
{
    const auto self = shared_from_this();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    wanted run;
    run.id = id;
    // While the server works, nothing else may tell the context that somebody still waits.
    run.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(enqueue{this, &run}, token);
    if (run.failure)
        std::rethrow_exception(run.failure);
    co_return std::move(run.found);
}

void finder::submit(wanted& run)
{
    // Once it stands in the queue, it may be read, and its caller be gone.
    auto self = shared_from_this();
    {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(&run);
        if (std::exchange(is_asking_, true))
            return;
    }
    asio::co_spawn(executor_, ask(std::move(self)), [](const std::exception_ptr& escaped) {
        assert(!escaped);
        static_cast<void>(escaped);
    });
}

std::vector<finder::wanted*> finder::take()
{
    const std::lock_guard lock{mutex_};
    const auto count = static_cast<std::ptrdiff_t>(std::min(waiting_.size(), most_runs));
    std::vector<wanted*> taken{waiting_.begin(), waiting_.begin() + count};
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    is_asking_ = !taken.empty();
    return taken;
}

asio::awaitable<void> finder::ask(std::shared_ptr<finder> self)
{
    for (auto runs = self->take(); !runs.empty(); runs = self->take()) {
        const bool is_damaged = co_await self->read(runs);
        // A record that cannot be read is of no concern to those who want others.
        if (is_damaged && runs.size() > 1)
            for (wanted*& run : runs)
                co_await self->read({&run, 1});
        for (wanted* run : runs)
            finish(*run);
    }
}

void finder::finish(wanted& run)
{
    // Once it is posted, it may be gone: nothing that post() uses may stand in it.
    const auto executor = std::move(run.executor);
    asio::post(executor, [done = std::move(*run.done)]() mutable { std::move(done)(); });
}

/// True when something that was read makes no sense.
asio::awaitable<bool> finder::read(std::span<wanted* const> runs)
{
    std::exception_ptr failure;
    bool is_damaged = false;
    try {
        co_await fill(runs);
    } catch (const error& failed) {
        failure = std::current_exception();
        is_damaged = failed.code() == errc::store_corrupt;
    } catch (...) {
        failure = std::current_exception();
    }
    for (wanted* run : runs)
        run->failure = failure;
    co_return is_damaged;
}

asio::awaitable<void> finder::fill(std::span<wanted* const> runs)
{
    std::vector<run_id> ids;
    ids.reserve(runs.size());
    for (const wanted* run : runs)
        ids.push_back(run->id);
    auto rows = co_await readers_->run(statements_->find(ids));
    auto found = queries::read_records(std::move(rows));
    std::ranges::sort(found, {}, &record::id);
    for (wanted* run : runs) {
        const auto at = std::ranges::lower_bound(found, run->id, {}, &record::id);
        if (at != found.end() && at->id == run->id)
            run->found = *at;
    }
}

} // namespace pawl::postgres
