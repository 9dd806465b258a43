#include "stores/postgres/transaction_sessions.hpp"

#include "stores/postgres/error.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <cassert>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

constexpr std::string_view doing = "running a transaction of the application";

/// The planner settings for Pawl's own statements are wrong for other statements.
constexpr const char* default_plans = "RESET jit; RESET enable_seqscan; RESET enable_bitmapscan; "
                                      "RESET enable_hashjoin; RESET enable_mergejoin";

/// The result of a coroutine on another strand, for the coroutine that waits for it.
template <typename Result>
struct strand_result {
    Result value;
    std::exception_ptr failure;
    asio::any_io_executor executor; ///< of the coroutine that waits
    std::optional<asio::any_completion_handler<void()>> done;
};

template <typename Result>
struct launch_on_strand {
    asio::any_io_executor strand;
    asio::awaitable<Result>* work;
    strand_result<Result>* outcome;

    template <typename Handler>
    void operator()(Handler handler)
    {
        outcome->done.emplace(std::move(handler));
        asio::co_spawn(strand, std::move(*work),
                       [outcome = outcome](std::exception_ptr failure, Result value) {
                           outcome->failure = std::move(failure);
                           outcome->value = std::move(value);
                           // As soon as the completion is posted, `outcome` may be gone.
                           const auto executor = std::move(outcome->executor);
                           asio::post(executor, [done = std::move(*outcome->done)]() mutable {
                               std::move(done)();
                           });
                       });
    }
};

/// Runs `work` on the strand and completes on the caller's executor. It ignores cancellation: the
/// answer to a statement that was sent must be read.
template <typename Result>
asio::awaitable<Result> run_on(asio::any_io_executor strand, asio::awaitable<Result> work)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    strand_result<Result> known;
    known.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(
        launch_on_strand<Result>{std::move(strand), &work, &known}, token);
    if (known.failure)
        std::rethrow_exception(known.failure);
    co_return std::move(known.value);
}

/// The savepoint proves that the transaction is still the one that begin() began.
constexpr const char* begin_script = "BEGIN; SAVEPOINT pawl_transaction";
constexpr const char* commit_script = "RELEASE SAVEPOINT pawl_transaction; COMMIT";

asio::awaitable<int> run_script(std::shared_ptr<connection> link, const char* sql,
                                connection::clock::duration limit)
{
    co_await link->run_script(sql, doing, limit);
    co_return 0;
}

asio::awaitable<int> check_link(std::shared_ptr<connection> link)
{
    if (!link->is_open())
        throw error{errc::store_unavailable,
                    "postgres_transaction: the session ended while the function ran; see "
                    "postgres_options::idle_in_transaction_timeout"};
    if (PQtransactionStatus(link->handle()) == PQTRANS_INERROR)
        throw error{errc::invalid_argument,
                    "postgres_transaction: a statement of the function has failed, but the "
                    "function has returned without an exception"};
    co_return 0;
}

asio::awaitable<result> run_request(std::shared_ptr<connection> link, request statement)
{
    auto rows = co_await link->execute(statement);
    co_return rows;
}

asio::awaitable<result_pointer> run_statement(std::shared_ptr<connection> link, std::string sql,
                                              std::vector<postgres_value> parameters)
{
    auto rows = co_await link->execute(sql, parameters, doing);
    co_return rows;
}

} // namespace

transaction_session::transaction_session(asio::any_io_executor strand,
                                         std::shared_ptr<connection> link,
                                         connection::clock::duration answer_limit)
    : strand_(std::move(strand)), link_(std::move(link)), answer_limit_(answer_limit)
{
}

asio::awaitable<result> transaction_session::execute(request statement)
{
    return run_on(strand_, run_request(link_, std::move(statement)));
}

asio::awaitable<result_pointer> transaction_session::execute(std::string sql,
                                                             std::vector<postgres_value> parameters)
{
    return run_on(strand_, run_statement(link_, std::move(sql), std::move(parameters)));
}

asio::awaitable<void> transaction_session::run(const char* sql)
{
    co_await run_on(strand_, run_script(link_, sql, answer_limit_));
}

asio::awaitable<void> transaction_session::begin()
{
    return run(begin_script);
}

asio::awaitable<void> transaction_session::roll_back()
{
    return run("ROLLBACK");
}

asio::awaitable<void> transaction_session::commit()
{
    bool is_ended = false;
    try {
        co_await run(commit_script);
    } catch (const server_error& refused) {
        is_ended = refused.state() == "3B001";
        if (!is_ended)
            throw;
    }
    if (is_ended)
        throw error{errc::invalid_argument,
                    "postgres_transaction: a statement of the function has ended the transaction"};
}

asio::awaitable<void> transaction_session::check()
{
    co_await run_on(strand_, check_link(link_));
}

PGTransactionStatusType transaction_session::status() const noexcept
{
    return link_->handle() ? PQtransactionStatus(link_->handle()) : PQTRANS_UNKNOWN;
}

transaction_sessions::transaction_sessions(asio::any_io_executor executor, settings options)
    : executor_(std::move(executor)), settings_(std::move(options))
{
}

std::shared_ptr<transaction_session> transaction_sessions::try_take_session()
{
    if (!idle_.empty()) {
        auto session = std::move(idle_.back());
        idle_.pop_back();
        return session;
    }
    if (session_count_ == settings_.max_sessions)
        return nullptr;
    ++session_count_;
    const asio::any_io_executor strand = asio::make_strand(executor_);
    return std::make_shared<transaction_session>(
        strand,
        std::make_shared<connection>(strand, settings_.server, settings_.warnings,
                                     settings_.prepares, settings_.answer_limit),
        settings_.answer_limit);
}

asio::awaitable<std::shared_ptr<transaction_session>> transaction_sessions::take_session()
{
    const auto request = std::make_shared<waiter>(co_await asio::this_coro::executor);
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.empty())
            request->session = try_take_session();
        if (request->session)
            co_return request->session;
        waiting_.push_back(request);
    }
    request->timer.expires_after(settings_.answer_limit);
    asio::use_awaitable_t<> token;
    const auto ended = co_await request->timer.async_wait(asio::as_tuple(token));
    {
        const std::lock_guard lock{mutex_};
        std::erase(waiting_, request);
        if (request->session)
            co_return std::exchange(request->session, nullptr);
    }
    if (std::get<0>(ended)) // the caller has been cancelled
        throw system_error(asio::error::operation_aborted);
    throw error{
        errc::store_unavailable,
        fmt::format("PostgreSQL at {}: none of the {} sessions for transactions became free "
                    "in time; see postgres_options::transaction_connections",
                    settings_.server->name(), settings_.max_sessions)};
}

postgres_pool transaction_sessions::load(std::string name)
{
    const std::lock_guard lock{mutex_};
    return {std::move(name), settings_.max_sessions, session_count_ - idle_.size(),
            waiting_.size()};
}

/// May be called from any thread. Rolls back an open transaction, by closing the session if
/// necessary.
void transaction_sessions::return_session(std::shared_ptr<transaction_session> session)
{
    asio::co_spawn(session->strand_, clean_session(shared_from_this(), session),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

asio::awaitable<void>
transaction_sessions::clean_session(std::shared_ptr<transaction_sessions> self,
                                    std::shared_ptr<transaction_session> session)
{
    const auto status = session->status();
    bool is_clean = status == PQTRANS_IDLE;
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
        try {
            co_await run_script(session->link_, "ROLLBACK", self->settings_.answer_limit);
            is_clean = true;
        } catch (...) { // closing the session has the same effect
        }
    }
    if (!is_clean)
        session->link_->close();
    self->hand_over(std::move(session));
}

void transaction_sessions::hand_over(std::shared_ptr<transaction_session> session)
{
    std::shared_ptr<waiter> next;
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.empty()) {
            idle_.push_back(std::move(session));
        } else {
            next = std::move(waiting_.front());
            waiting_.pop_front();
            next->session = std::move(session);
        }
    }
    if (next)
        asio::post(next->timer.get_executor(), [next] { next->timer.cancel(); });
}

transaction_sessions::lease
transaction_sessions::make_lease(std::shared_ptr<transaction_session> session)
{
    auto* const lent = session.get();
    return {lent, [self = shared_from_this(), session = std::move(session)](auto*) mutable {
                self->return_session(std::move(session));
            }};
}

asio::awaitable<void>
transaction_sessions::ensure_open(std::shared_ptr<transaction_session> session)
{
    const auto connect = [](std::shared_ptr<transaction_sessions> self,
                            std::shared_ptr<connection> link) -> asio::awaitable<int> {
        if (link->is_open())
            co_return 0;
        std::exception_ptr failure;
        try {
            co_await link->open();
            co_await self->settings_.schema->read_again(*link);
            co_await self->settings_.detector->fence_lost_shards(*link);
            if (self->settings_.prepares) // otherwise Pawl has made no settings
                co_await link->run_script(default_plans, doing, self->settings_.answer_limit);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            link->close();
            self->settings_.warnings->report(warning::connection_failed, failure);
            std::rethrow_exception(failure);
        }
        co_return 0;
    };
    co_await run_on(session->strand_, connect(shared_from_this(), session->link_));
}

asio::awaitable<transaction_sessions::lease> transaction_sessions::begin()
{
    const auto self = shared_from_this();
    auto taken = co_await take_session();
    auto session = make_lease(std::move(taken));
    co_await ensure_open(session);
    co_await session->begin();
    co_return session;
}

} // namespace pawl::postgres
