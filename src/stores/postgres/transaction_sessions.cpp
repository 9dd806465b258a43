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

constexpr std::string_view doing = "a program's transaction";

/// What sessions of Pawl's have for Pawl's own statements does others no good.
constexpr const char* default_plans = "RESET jit; RESET enable_seqscan; RESET enable_bitmapscan; "
                                      "RESET enable_hashjoin; RESET enable_mergejoin";

/// What a coroutine on another strand led to, for the one that waits for it.
template <typename Result>
struct outcome_elsewhere {
    Result value;
    std::exception_ptr failure;
    asio::any_io_executor executor; ///< of who waits
    std::optional<asio::any_completion_handler<void()>> done;
};

template <typename Result>
struct launch_elsewhere {
    asio::any_io_executor strand;
    asio::awaitable<Result>* work;
    outcome_elsewhere<Result>* to;

    template <typename Handler>
    void operator()(Handler handler)
    {
        to->done.emplace(std::move(handler));
        asio::co_spawn(
            strand, std::move(*work), [to = to](std::exception_ptr failure, Result value) {
                to->failure = std::move(failure);
                to->value = std::move(value);
                // Once it is posted, `to` may be gone.
                const auto executor = std::move(to->executor);
                asio::post(executor,
                           [done = std::move(*to->done)]() mutable { std::move(done)(); });
            });
    }
};

/// Runs `work` on the strand and completes on the caller's executor. No cancellation reaches it: a
/// statement that was sent has an answer.
template <typename Result>
asio::awaitable<Result> run_on(asio::any_io_executor strand, asio::awaitable<Result> work)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    outcome_elsewhere<Result> known;
    known.executor = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(
        launch_elsewhere<Result>{std::move(strand), &work, &known}, token);
    if (known.failure)
        std::rethrow_exception(known.failure);
    co_return std::move(known.value);
}

/// With it, a transaction can tell that it is still the one that was begun.
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
                    "postgres_transaction: a statement of the function has failed, and the "
                    "function has returned all the same"};
    co_return 0;
}

asio::awaitable<result> run_request(std::shared_ptr<connection> link, request what)
{
    auto rows = co_await link->execute(what);
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

asio::awaitable<result> transaction_session::execute(request what)
{
    return run_on(strand_, run_request(link_, std::move(what)));
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
    bool is_another = false;
    try {
        co_await run(commit_script);
    } catch (const server_error& refused) {
        is_another = refused.state() == "3B001";
        if (!is_another)
            throw;
    }
    if (is_another)
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

std::shared_ptr<transaction_session> transaction_sessions::take_now()
{
    if (!idle_.empty()) {
        auto session = std::move(idle_.back());
        idle_.pop_back();
        return session;
    }
    if (made_ == settings_.most)
        return nullptr;
    ++made_;
    const asio::any_io_executor strand = asio::make_strand(executor_);
    return std::make_shared<transaction_session>(
        strand,
        std::make_shared<connection>(strand, settings_.where, settings_.troubles,
                                     settings_.prepares, settings_.answer_limit),
        settings_.answer_limit);
}

asio::awaitable<std::shared_ptr<transaction_session>> transaction_sessions::take()
{
    const auto place = std::make_shared<waiter>(co_await asio::this_coro::executor);
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.empty())
            place->given = take_now();
        if (place->given)
            co_return place->given;
        waiting_.push_back(place);
    }
    place->timer.expires_after(settings_.answer_limit);
    asio::use_awaitable_t<> token;
    const auto ended = co_await place->timer.async_wait(asio::as_tuple(token));
    {
        const std::lock_guard lock{mutex_};
        std::erase(waiting_, place);
        if (place->given)
            co_return std::exchange(place->given, nullptr);
    }
    if (std::get<0>(ended)) // the caller has been cancelled
        throw system_error(asio::error::operation_aborted);
    throw error{
        errc::store_unavailable,
        fmt::format("PostgreSQL at {}: none of the {} sessions for transactions became free "
                    "in time; see postgres_options::transaction_connections",
                    settings_.where->name(), settings_.most)};
}

/// From any thread. A transaction that is open is rolled back, by the end of the session if need
/// be.
void transaction_sessions::give_back(std::shared_ptr<transaction_session> session)
{
    asio::co_spawn(session->strand_, clean(shared_from_this(), session),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

asio::awaitable<void> transaction_sessions::clean(std::shared_ptr<transaction_sessions> self,
                                                  std::shared_ptr<transaction_session> session)
{
    const auto status = session->status();
    bool is_clean = status == PQTRANS_IDLE;
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR) {
        try {
            co_await run_script(session->link_, "ROLLBACK", self->settings_.answer_limit);
            is_clean = true;
        } catch (...) { // closing it has the same effect
        }
    }
    if (!is_clean)
        session->link_->close();
    self->pass_on(std::move(session));
}

void transaction_sessions::pass_on(std::shared_ptr<transaction_session> session)
{
    std::shared_ptr<waiter> next;
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.empty()) {
            idle_.push_back(std::move(session));
        } else {
            next = std::move(waiting_.front());
            waiting_.pop_front();
            next->given = std::move(session);
        }
    }
    if (next)
        asio::post(next->timer.get_executor(), [next] { next->timer.cancel(); });
}

transaction_sessions::lease transaction_sessions::lend(std::shared_ptr<transaction_session> session)
{
    auto* const lent = session.get();
    return {lent, [self = shared_from_this(), session = std::move(session)](auto*) mutable {
                self->give_back(std::move(session));
            }};
}

asio::awaitable<void> transaction_sessions::open(std::shared_ptr<transaction_session> session)
{
    const auto connect = [](std::shared_ptr<transaction_sessions> self,
                            std::shared_ptr<connection> link) -> asio::awaitable<int> {
        if (link->is_open())
            co_return 0;
        std::exception_ptr failure;
        try {
            co_await link->open();
            co_await self->settings_.schema->read_again(*link);
            co_await self->settings_.lost->look_for(*link);
            if (self->settings_.prepares) // else Pawl has set nothing
                co_await link->run_script(default_plans, doing, self->settings_.answer_limit);
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            link->close();
            self->settings_.troubles->tell(trouble::connection_failed, failure);
            std::rethrow_exception(failure);
        }
        co_return 0;
    };
    co_await run_on(session->strand_, connect(shared_from_this(), session->link_));
}

asio::awaitable<transaction_sessions::lease> transaction_sessions::begin()
{
    const auto self = shared_from_this();
    auto taken = co_await take();
    auto session = lend(std::move(taken));
    co_await open(session);
    co_await session->begin();
    co_return session;
}

} // namespace pawl::postgres
