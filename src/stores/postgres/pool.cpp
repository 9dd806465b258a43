#include "stores/postgres/pool.hpp"

#include "stores/postgres/error.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace pawl::postgres {

namespace asio = boost::asio;

duration back_off::next()
{
    auto longest = first_;
    for (unsigned i = 0; i < failures_ && longest < longest_; ++i)
        longest *= 2;
    longest = std::min(longest, longest_);
    ++failures_;
    std::uniform_int_distribution<duration::rep> choose{longest.count() / 2, longest.count()};
    return duration{choose(random_)};
}

pool::session::session(asio::any_io_executor executor, const settings& options)
    : strand(asio::make_strand(std::move(executor))),
      link(std::make_shared<connection>(strand, options.where, options.troubles, options.prepares,
                                        options.answer_limit)),
      waits(options.reconnect_backoff_initial, options.reconnect_backoff_max)
{
}

pool::pool(asio::any_io_executor executor, settings options)
    : executor_(std::move(executor)), settings_(std::move(options))
{
}

struct pool::enqueue {
    pool* where;
    job* work;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        work->done.emplace(std::move(handler));
        where->submit(*work);
    }
};

asio::awaitable<result> pool::run(request what)
{
    // The pool lives until the statement has ended, whatever becomes of the store.
    const auto self = shared_from_this();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    job work;
    work.what = std::move(what);
    // While the server works, nothing else may tell the context that somebody still waits.
    work.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(enqueue{this, &work}, token);
    if (work.failure)
        std::rethrow_exception(work.failure);
    co_return std::move(work.rows);
}

void pool::submit(job& work)
{
    // Once it stands in the queue, the statement may end, and its caller and the pool with it.
    auto self = shared_from_this();
    session* by = nullptr;
    {
        const std::lock_guard lock{mutex_};
        work.since = connection::clock::now();
        waiting_.push_back(&work);
        if (!idle_.empty()) {
            by = idle_.back();
            idle_.pop_back();
        } else if (sessions_.size() < settings_.connections) {
            by = &sessions_.emplace_back(executor_, settings_);
        }
    }
    if (by)
        self->begin(*by);
}

void pool::begin(session& by)
{
    asio::co_spawn(by.strand, pool::work(shared_from_this(), by),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

bool pool::has_work(session& by)
{
    const std::lock_guard lock{mutex_};
    if (waiting_.empty())
        idle_.push_back(&by);
    return !waiting_.empty();
}

/// Null when there is none; then it is idle.
pool::job* pool::take(session& by)
{
    std::vector<job*> late;
    job* next = nullptr;
    {
        const std::lock_guard lock{mutex_};
        by.serves = true;
        const auto oldest = connection::clock::now() - settings_.answer_limit;
        while (!waiting_.empty() && !next) {
            auto* const first = waiting_.front();
            waiting_.pop_front();
            if (first->since < oldest)
                late.push_back(first);
            else
                next = first;
        }
        if (!next)
            idle_.push_back(&by);
    }
    if (!late.empty())
        fail(late, std::make_exception_ptr(
                       error{errc::store_unavailable,
                             fmt::format("PostgreSQL at {}: no connection became free in time",
                                         settings_.where->name())}));
    return next;
}

/// Of a session that cannot connect: leaves what waits to those that could, if any. False when it
/// is idle then. Otherwise what was asked for before it tried fails.
bool pool::leave_work(session& by, connection::clock::time_point since, std::exception_ptr failure)
{
    std::vector<job*> failed;
    session* other = nullptr;
    bool is_alone = true;
    {
        const std::lock_guard lock{mutex_};
        by.serves = false;
        const auto serves = [](const session& each) {
            return each.serves;
        };
        is_alone = std::ranges::none_of(sessions_, serves);
        if (is_alone) {
            while (!waiting_.empty() && waiting_.front()->since <= since) {
                failed.push_back(waiting_.front());
                waiting_.pop_front();
            }
        } else {
            const auto idle =
                std::ranges::find_if(idle_, [&](const session* each) { return serves(*each); });
            if (!waiting_.empty() && idle != idle_.end()) {
                other = *idle;
                idle_.erase(idle);
            }
            idle_.insert(idle_.begin(), &by); // the last that is chosen
        }
    }
    if (other)
        begin(*other);
    fail(failed, std::move(failure));
    return is_alone;
}

/// It connects before it takes a statement: a session that cannot keeps none from the others.
asio::awaitable<void> pool::work(std::shared_ptr<pool> self, session& by)
{
    while (self->has_work(by)) {
        const auto begun = connection::clock::now();
        std::exception_ptr failure;
        try {
            co_await self->ensure_open(by);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (!self->leave_work(by, begun, std::move(failure)))
                co_return;
            continue;
        }
        auto* const next = self->take(by);
        if (!next)
            co_return;
        try {
            next->rows = co_await self->execute(by, next->what);
        } catch (...) {
            next->failure = std::current_exception();
        }
        finish(*next);
    }
}

/// Completes the calls with the failure. The last call takes it over, so that the pool keeps no
/// reference to an exception that a caller reads.
void pool::fail(const std::vector<job*>& all, std::exception_ptr failure)
{
    for (job* each : all) {
        each->failure = each == all.back() ? std::move(failure) : failure;
        finish(*each);
    }
}

void pool::finish(job& work)
{
    // Once it is posted, the job may be gone: nothing that post() uses may stand in it.
    const auto executor = std::move(work.executor);
    asio::post(executor, [done = std::move(*work.done)]() mutable { std::move(done)(); });
}

void pool::lost(session& by, std::string_view why)
{
    if (std::exchange(by.was_open, false))
        settings_.troubles->tell(trouble::connection_lost, why);
}

asio::awaitable<void> pool::ensure_open(session& by)
{
    if (by.link->is_open())
        co_return;
    by.link->close();
    lost(by, "it ended while nothing was asked, or another server is used now");
    if (by.not_before) {
        asio::steady_timer wait{by.strand, *by.not_before};
        asio::use_awaitable_t<> token;
        co_await wait.async_wait(asio::as_tuple(token));
    }
    try {
        co_await by.link->open();
        if (settings_.schema)
            co_await settings_.schema->read_again(*by.link);
        if (settings_.on_open)
            co_await settings_.on_open(*by.link);
    } catch (...) {
        by.link->close();
        settings_.troubles->tell(trouble::connection_failed, std::current_exception());
        by.not_before = connection::clock::now() + by.waits.next();
        throw;
    }
    by.was_open = true;
    by.not_before.reset();
    by.waits.reset();
}

asio::awaitable<result> pool::execute(session& by, const request& what)
{
    /// The same statement, after one that the server rolled back for another's sake.
    constexpr int most_passing = 4;
    bool repeats = settings_.how == repeating::twice;
    bool changes_session = true;
    for (int passing = 0;; ++passing) {
        co_await ensure_open(by);
        if (what.schema_version != 0 && what.schema_version != settings_.schema->version())
            throw stale_request{};
        try {
            auto rows = co_await by.link->execute(what);
            co_return rows;
        } catch (const lost_connection& failed) {
            lost(by, failed.detail());
            if (!std::exchange(repeats, false))
                throw;
        } catch (const server_error& refused) {
            // Either way the server has rolled the statement back.
            if (refused.ends_session())
                lost(by, refused.detail());
            const bool is_other_session =
                refused.ends_session() && std::exchange(changes_session, false);
            const bool is_passing = refused.is_passing() && passing < most_passing;
            if (!is_other_session && !is_passing)
                throw;
            settings_.troubles->tell(trouble::statement_repeated, refused.detail());
        }
    }
}

} // namespace pawl::postgres
