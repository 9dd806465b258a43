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

duration reconnect_backoff::next()
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
      link(std::make_shared<connection>(strand, options.server, options.warnings, options.prepares,
                                        options.answer_limit)),
      backoff(options.reconnect_backoff_initial, options.reconnect_backoff_max)
{
}

pool::pool(asio::any_io_executor executor, settings options)
    : executor_(std::move(executor)), settings_(std::move(options))
{
}

struct pool::enqueue {
    pool* target_pool;
    job* work;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        work->done.emplace(std::move(handler));
        target_pool->submit(*work);
    }
};

asio::awaitable<result> pool::run(request statement)
{
    // The pool must live until the statement has ended, even if the store is destroyed.
    const auto self = shared_from_this();
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    job work;
    work.statement = std::move(statement);
    // Only this work keeps the caller's context running while the server works.
    work.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(enqueue{this, &work}, token);
    if (work.failure)
        std::rethrow_exception(work.failure);
    co_return std::move(work.rows);
}

postgres_pool pool::load(std::string name)
{
    const std::lock_guard lock{mutex_};
    return {std::move(name), settings_.connections, sessions_.size() - idle_.size(),
            waiting_.size()};
}

void pool::submit(job& work)
{
    // As soon as the job is queued, its statement may end and its caller release the pool.
    auto self = shared_from_this();
    session* worker = nullptr;
    {
        const std::lock_guard lock{mutex_};
        work.queued_at = connection::clock::now();
        waiting_.push_back(&work);
        if (!idle_.empty()) {
            worker = idle_.back();
            idle_.pop_back();
        } else if (sessions_.size() < settings_.connections) {
            worker = &sessions_.emplace_back(executor_, settings_);
        }
    }
    if (worker)
        self->begin(*worker);
}

void pool::begin(session& worker)
{
    asio::co_spawn(worker.strand, pool::work(shared_from_this(), worker),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

bool pool::has_jobs(session& worker)
{
    const std::lock_guard lock{mutex_};
    if (waiting_.empty())
        idle_.push_back(&worker);
    return !waiting_.empty();
}

/// Null when no job waits; the session is idle then.
pool::job* pool::take_job(session& worker)
{
    std::vector<job*> late;
    job* next = nullptr;
    {
        const std::lock_guard lock{mutex_};
        worker.connects = true;
        const auto oldest = connection::clock::now() - settings_.answer_limit;
        while (!waiting_.empty() && !next) {
            auto* const first = waiting_.front();
            waiting_.pop_front();
            if (first->queued_at < oldest)
                late.push_back(first);
            else
                next = first;
        }
        if (!next)
            idle_.push_back(&worker);
    }
    if (!late.empty())
        fail(late, std::make_exception_ptr(
                       error{errc::store_unavailable,
                             fmt::format("PostgreSQL at {}: no connection became free in time",
                                         settings_.server->name())}));
    return next;
}

/// Called for a session that cannot connect. If other sessions can, leaves the waiting jobs to
/// them, makes this session idle, and returns false. Otherwise fails the jobs that were queued
/// before it tried to connect.
bool pool::leave_jobs(session& worker, connection::clock::time_point tried_at,
                      std::exception_ptr failure)
{
    std::vector<job*> failed;
    session* other = nullptr;
    bool is_alone = true;
    {
        const std::lock_guard lock{mutex_};
        worker.connects = false;
        const auto connects = [](const session& candidate) {
            return candidate.connects;
        };
        is_alone = std::ranges::none_of(sessions_, connects);
        if (is_alone) {
            while (!waiting_.empty() && waiting_.front()->queued_at <= tried_at) {
                failed.push_back(waiting_.front());
                waiting_.pop_front();
            }
        } else {
            const auto idle = std::ranges::find_if(
                idle_, [&](const session* session) { return connects(*session); });
            if (!waiting_.empty() && idle != idle_.end()) {
                other = *idle;
                idle_.erase(idle);
            }
            idle_.insert(idle_.begin(), &worker); // it is chosen last
        }
    }
    if (other)
        begin(*other);
    fail(failed, std::move(failure));
    return is_alone;
}

/// Connects before it takes a job, so that a session that cannot connect holds no job.
asio::awaitable<void> pool::work(std::shared_ptr<pool> self, session& worker)
{
    while (self->has_jobs(worker)) {
        const auto tried_at = connection::clock::now();
        std::exception_ptr failure;
        try {
            co_await self->ensure_open(worker);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (!self->leave_jobs(worker, tried_at, std::move(failure)))
                co_return;
            continue;
        }
        auto* const next = self->take_job(worker);
        if (!next)
            co_return;
        try {
            next->rows = co_await self->execute(worker, next->statement);
        } catch (...) {
            next->failure = std::current_exception();
        }
        finish(*next);
    }
}

/// Completes the jobs with the failure. The last job takes it over, so that the pool keeps no
/// reference to an exception that a caller reads.
void pool::fail(const std::vector<job*>& jobs, std::exception_ptr failure)
{
    for (job* failed : jobs) {
        failed->failure = failed == jobs.back() ? std::move(failure) : failure;
        finish(*failed);
    }
}

void pool::finish(job& work)
{
    // As soon as the completion is posted, the job may be gone: post() must not use it.
    const auto executor = std::move(work.executor);
    asio::post(executor, [done = std::move(*work.done)]() mutable { std::move(done)(); });
}

void pool::report_loss(session& worker, std::string_view reason)
{
    if (std::exchange(worker.was_open, false))
        settings_.warnings->report(warning::connection_lost, reason);
}

asio::awaitable<void> pool::ensure_open(session& worker)
{
    if (worker.link->is_open())
        co_return;
    worker.link->close();
    report_loss(worker, "the idle session ended, or the store now uses another server");
    if (worker.not_before) {
        asio::steady_timer wait{worker.strand, *worker.not_before};
        asio::use_awaitable_t<> token;
        co_await wait.async_wait(asio::as_tuple(token));
    }
    try {
        co_await worker.link->open();
        if (settings_.schema)
            co_await settings_.schema->read_again(*worker.link);
        if (settings_.on_open)
            co_await settings_.on_open(*worker.link);
    } catch (...) {
        worker.link->close();
        settings_.warnings->report(warning::connection_failed, std::current_exception());
        worker.not_before = connection::clock::now() + worker.backoff.next();
        throw;
    }
    worker.was_open = true;
    worker.not_before.reset();
    worker.backoff.reset();
}

asio::awaitable<result> pool::execute(session& worker, const request& statement)
{
    // How often a statement is sent again after a conflict with another transaction.
    constexpr int max_conflicts = 4;
    bool resends = settings_.on_lost_answer == lost_answer::resend;
    bool may_change_session = true;
    for (int conflicts = 0;; ++conflicts) {
        co_await ensure_open(worker);
        if (statement.schema_version != 0 &&
            statement.schema_version != settings_.schema->version())
            throw stale_request{};
        try {
            auto rows = co_await worker.link->execute(statement);
            co_return rows;
        } catch (const lost_connection& failed) {
            report_loss(worker, failed.detail());
            if (!std::exchange(resends, false))
                throw;
        } catch (const server_error& refused) {
            // The server has rolled the statement back in both cases.
            if (refused.ends_session())
                report_loss(worker, refused.detail());
            const bool changes_session =
                refused.ends_session() && std::exchange(may_change_session, false);
            const bool is_conflict = refused.is_conflict() && conflicts < max_conflicts;
            if (!changes_session && !is_conflict)
                throw;
            settings_.warnings->report(warning::statement_repeated, refused.detail());
        }
    }
}

} // namespace pawl::postgres
