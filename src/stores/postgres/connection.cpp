#include "stores/postgres/connection.hpp"

#include "stores/postgres/error.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <poll.h>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

constexpr int oldest_server = 130000;

/// Of what a server says beside its answers, warnings are logged: for example that a commit was not
/// awaited on a replica.
void hear_notice(void* troubles, const PGresult* notice)
{
    const auto* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const auto* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && text && std::string_view{severity} == "WARNING")
        static_cast<trouble_log*>(troubles)->tell(trouble::server_warning, std::string_view{text});
}

/// Why the places of a target did not serve.
class refusals {
public:
    void add(const std::exception_ptr& failure)
    {
        try {
            std::rethrow_exception(failure);
        } catch (const server_error& refused) {
            add(static_cast<errc>(refused.code().value()), refused.detail(), refused.state());
        } catch (const error& failed) {
            add(errc::store_unavailable, failed.detail(), {});
        }
    }

    /// Whether the other places would say the same.
    bool is_final() const noexcept { return code_ == errc::store_access_denied; }

    [[noreturn]] void raise() const { throw server_error{code_, text_, state_}; }

private:
    void add(errc code, const std::string& text, const std::string& state)
    {
        // All were read-only, or one may come back that is not.
        if (text_.empty() || code == errc::store_access_denied)
            code_ = code;
        else if (code != code_)
            code_ = errc::store_unavailable;
        text_ += (text_.empty() ? "" : "; ") + text;
        state_ = state;
    }

    errc code_ = errc::store_unavailable;
    std::string text_;
    std::string state_;
};

} // namespace

connection::connection(asio::any_io_executor strand, std::shared_ptr<const target> where,
                       std::shared_ptr<trouble_log> troubles, bool prepares,
                       clock::duration answer_limit)
    : strand_(std::move(strand)), where_(std::move(where)), troubles_(std::move(troubles)),
      prepares_(prepares), answer_limit_(answer_limit), socket_(strand_), limit_(strand_)
{
}

connection::~connection()
{
    close();
}

void connection::close() noexcept
{
    // The socket is libpq's: it is given back, not closed.
    if (socket_.is_open())
        socket_.release();
    handle_.reset();
    prepared_.clear();
}

bool connection::is_open() noexcept
{
    if (!handle_ || PQstatus(handle_.get()) != CONNECTION_OK || !where_->is_latest(place_))
        return false;
    // A server that ended the session while nothing was asked of it has said so by now.
    for (;;) {
        pollfd readable{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, 0) <= 0)
            return true;
        if (PQconsumeInput(handle_.get()) == 0)
            return false;
    }
}

void connection::arm(clock::duration limit)
{
    is_late_ = false;
    limit_.expires_after(limit);
    limit_.async_wait([self = weak_from_this(), mine = ++armed_](const error_code& failure) {
        const auto still_here = self.lock();
        if (failure || !still_here || still_here->armed_ != mine)
            return;
        still_here->is_late_ = true;
        still_here->socket_.cancel();
    });
}

void connection::disarm()
{
    ++armed_;
    limit_.cancel();
}

asio::awaitable<void> connection::wait_for(event what)
{
    if (is_interrupted_)
        throw lost_connection{fmt::format("PostgreSQL at {}: interrupted", where_->name(place_))};
    asio::use_awaitable_t<> token;
    const auto wanted = what == event::readable ? asio::posix::stream_descriptor::wait_read
                                                : asio::posix::stream_descriptor::wait_write;
    auto failure = co_await socket_.async_wait(wanted, asio::as_tuple(token));
    if (is_late_)
        throw lost_connection{
            fmt::format("PostgreSQL at {}: no answer within the time limit", where_->name(place_))};
    if (std::get<0>(failure))
        throw lost_connection{fmt::format("PostgreSQL at {}: {}", where_->name(place_),
                                          std::get<0>(failure).message())};
}

void connection::watch_socket()
{
    const int socket = PQsocket(handle_.get());
    // While it tries one host after the other, libpq closes its socket and may get the same number
    // again: it is always watched anew.
    if (socket_.is_open())
        socket_.release();
    if (socket < 0)
        throw_connect_error(handle_.get(), where_->name(place_));
    socket_.assign(socket);
}

asio::awaitable<void> connection::connect()
{
    handle_.reset(where_->start(place_));
    if (!handle_)
        throw std::bad_alloc{};
    PQsetNoticeReceiver(handle_.get(), hear_notice, troubles_.get());
    auto next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (PQstatus(handle_.get()) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
            throw_connect_error(handle_.get(), where_->name(place_));
        watch_socket();
        co_await wait_for(next == PGRES_POLLING_READING ? event::readable : event::writable);
        socket_.release();
        next = PQconnectPoll(handle_.get());
    }
    PQsetErrorVerbosity(handle_.get(), PQERRORS_DEFAULT);
    PQsetnonblocking(handle_.get(), 1);
    watch_socket();
}

/// Throws server_error when the server, or what it may do, is not what is needed.
asio::awaitable<void> connection::set_up()
{
    const auto refuse = [this](errc code, std::string_view why) {
        throw server_error{
            code, fmt::format("PostgreSQL at {}: {}", where_->name(place_), why), {}};
    };
    if (const int version = PQserverVersion(handle_.get()); version < oldest_server)
        refuse(errc::store_access_denied,
               fmt::format("the server's version is {}.{}, and 13 is the oldest that Pawl works "
                           "with",
                           version / 10000, version % 10000));
    constexpr std::string_view doing = "setting up the session";
    check_sent(PQsendQuery(handle_.get(), where_->setup().c_str()), doing);
    result_pointer rows;
    try {
        rows = co_await answer(doing);
    } catch (const lost_connection& lost) {
        if (!is_late_)
            throw;
        throw lost_connection{fmt::format("{}: connected, but the session does not answer; if a "
                                          "pooler is there, it may have too few sessions",
                                          lost.detail())};
    }
    if (where_->wants_writable() && PQntuples(rows.get()) == 1 &&
        std::string_view{PQgetvalue(rows.get(), 0, 0)} == "on")
        refuse(errc::store_read_only, "the session is read-only: the server is a standby, or "
                                      "default_transaction_read_only is on");
}

void connection::end_attempt(const std::exception_ptr& failure)
{
    disarm();
    if (!failure)
        return;
    close();
    std::rethrow_exception(failure);
}

asio::awaitable<void> connection::open_at(target::place where)
{
    place_ = std::move(where);
    arm(where_->connect_timeout());
    std::exception_ptr failure;
    try {
        co_await connect();
        co_await set_up();
        where_->opened(place_);
    } catch (...) {
        failure = std::current_exception();
    }
    end_attempt(failure);
}

asio::awaitable<void> connection::open()
{
    close();
    refusals all;
    for (const auto& place : where_->places()) {
        std::exception_ptr failure;
        try {
            co_await open_at(place);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return;
        all.add(failure);
        if (all.is_final() || is_interrupted_)
            break;
    }
    all.raise();
}

void connection::check_sent(int sent, std::string_view doing)
{
    if (sent == 0)
        throw_result_error(handle_.get(), nullptr, where_->name(), doing);
}

/// Of the statement that was sent last. A statement of Pawl's gives one result.
asio::awaitable<result_pointer> connection::answer(std::string_view doing)
{
    for (;;) {
        const int left = PQflush(handle_.get());
        check_sent(left >= 0 ? 1 : 0, doing);
        if (left == 0)
            break;
        co_await wait_for(event::writable);
    }
    result_pointer last;
    for (;;) {
        while (PQisBusy(handle_.get())) {
            co_await wait_for(event::readable);
            check_sent(PQconsumeInput(handle_.get()), doing);
        }
        result_pointer next{PQgetResult(handle_.get())};
        if (!next)
            break;
        // PQgetResult() would give the same result again and again.
        const auto is = PQresultStatus(next.get());
        if (is == PGRES_COPY_IN || is == PGRES_COPY_OUT || is == PGRES_COPY_BOTH) {
            close();
            throw error{errc::invalid_argument, "COPY is not supported"};
        }
        // Of several, the first error is the one that says why.
        if (!last || PQresultStatus(last.get()) != PGRES_FATAL_ERROR)
            last = std::move(next);
    }
    const auto status = PQresultStatus(last.get());
    if (status == PGRES_EMPTY_QUERY)
        throw server_error{errc::invalid_argument, "the statement is empty", {}};
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw_result_error(handle_.get(), last.get(), where_->name(), doing);
    co_return last;
}

/// Of the statement that was sent last. The session is closed when it is of no use any more.
void connection::end_statement(const std::exception_ptr& failure)
{
    disarm();
    if (!failure)
        return;
    bool ends_session = true;
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& refused) {
        ends_session = refused.ends_session();
    } catch (...) { // lost, or nothing is known of it
    }
    if (ends_session)
        close();
    std::rethrow_exception(failure);
}

asio::awaitable<result> connection::execute(const request& what)
{
    const bool names = prepares_ && *what.name != 0;
    arm(answer_limit_);
    result_pointer rows;
    std::exception_ptr failure;
    try {
        if (names && !prepared_.contains(what.name)) {
            check_sent(PQsendPrepare(handle_.get(), what.name, what.sql.c_str(), 0, nullptr),
                       what.doing);
            co_await answer(what.doing);
            prepared_.insert(what.name);
        }
        const auto sent = what.values.as_arrays([&](auto values, auto lengths, auto formats) {
            return names ? PQsendQueryPrepared(handle_.get(), what.name, what.values.count(),
                                               values, lengths, formats, 1)
                         : PQsendQueryParams(handle_.get(), what.sql.c_str(), what.values.count(),
                                             nullptr, values, lengths, formats, 1);
        });
        check_sent(sent, what.doing);
        rows = co_await answer(what.doing);
    } catch (...) {
        failure = std::current_exception();
    }
    end_statement(failure);
    co_return result{std::move(rows), where_->name()};
}

asio::awaitable<result_pointer> connection::execute(const std::string& sql,
                                                    const std::vector<postgres_value>& values,
                                                    std::string_view doing)
{
    if (!handle_)
        throw lost_connection{fmt::format("PostgreSQL at {}: {}: the connection has been lost",
                                          where_->name(place_), doing)};
    std::vector<const char*> texts;
    for (const auto& each : values)
        texts.push_back(each.text());
    arm(answer_limit_);
    result_pointer rows;
    std::exception_ptr failure;
    try {
        check_sent(PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(texts.size()),
                                     nullptr, texts.data(), nullptr, nullptr, 0),
                   doing);
        rows = co_await answer(doing);
    } catch (...) {
        failure = std::current_exception();
    }
    end_statement(failure);
    co_return rows;
}

asio::awaitable<void> connection::run_script(std::string sql, std::string_view doing,
                                             clock::duration limit)
{
    arm(limit);
    std::exception_ptr failure;
    try {
        check_sent(PQsendQuery(handle_.get(), sql.c_str()), doing);
        co_await answer(doing);
    } catch (...) {
        failure = std::current_exception();
    }
    end_attempt(failure);
}

asio::awaitable<bool> connection::wait_for_input()
{
    if (is_interrupted_)
        co_return false;
    asio::use_awaitable_t<> token;
    const auto failure = co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                                     asio::as_tuple(token));
    co_return !std::get<0>(failure) && PQconsumeInput(handle_.get()) != 0;
}

void connection::interrupt()
{
    is_interrupted_ = true;
    if (socket_.is_open())
        socket_.cancel();
}

} // namespace pawl::postgres
