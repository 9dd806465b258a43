#include "stores/postgres/connection.hpp"

#include "stores/postgres/error.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <poll.h>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

constexpr int min_server_version = 130000;

/// Logs the server's warnings, such as one that a commit was not awaited on a replica. Other
/// notices are ignored.
void log_notice(void* warnings, const PGresult* notice)
{
    const auto* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const auto* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (severity && text && std::string_view{severity} == "WARNING")
        static_cast<warning_log*>(warnings)->report(warning::server_warning,
                                                    std::string_view{text});
}

/// The reasons why none of the addresses of a target could be used.
class connect_failures {
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

    /// Whether every other address would fail for the same reason.
    bool is_final() const noexcept { return code_ == errc::store_access_denied; }

    [[noreturn]] void raise() const { throw server_error{code_, text_, state_}; }

private:
    void add(errc code, const std::string& text, const std::string& state)
    {
        // The code is store_read_only only if every server is read-only: another one may come back.
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

connection::connection(asio::any_io_executor strand, std::shared_ptr<const target> server,
                       std::shared_ptr<warning_log> warnings, bool prepares,
                       clock::duration answer_limit)
    : strand_(std::move(strand)), server_(std::move(server)), warnings_(std::move(warnings)),
      prepares_(prepares), answer_limit_(answer_limit), socket_(strand_), limit_(strand_)
{
}

connection::~connection()
{
    close();
}

void connection::close() noexcept
{
    // libpq owns the socket and closes it.
    if (socket_.is_open())
        socket_.release();
    handle_.reset();
    prepared_.clear();
}

bool connection::is_open() noexcept
{
    if (!handle_ || PQstatus(handle_.get()) != CONNECTION_OK || !server_->is_latest(address_))
        return false;
    // The notice of a server that has ended an idle session can already be read.
    for (;;) {
        pollfd readable{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
        if (::poll(&readable, 1, 0) <= 0)
            return true;
        if (PQconsumeInput(handle_.get()) == 0)
            return false;
    }
}

void connection::start_time_limit(clock::duration limit)
{
    is_late_ = false;
    limit_.expires_after(limit);
    limit_.async_wait(
        [weak = weak_from_this(), number = ++limit_number_](const error_code& failure) {
            const auto self = weak.lock();
            if (failure || !self || self->limit_number_ != number)
                return;
            self->is_late_ = true;
            self->socket_.cancel();
        });
}

void connection::stop_time_limit()
{
    ++limit_number_;
    limit_.cancel();
}

asio::awaitable<void> connection::wait_for_socket(readiness condition)
{
    if (is_interrupted_)
        throw lost_connection{
            fmt::format("PostgreSQL at {}: interrupted", server_->name(address_))};
    asio::use_awaitable_t<> token;
    const auto wanted = condition == readiness::readable
                            ? asio::posix::stream_descriptor::wait_read
                            : asio::posix::stream_descriptor::wait_write;
    auto failure = co_await socket_.async_wait(wanted, asio::as_tuple(token));
    if (is_late_)
        throw lost_connection{fmt::format("PostgreSQL at {}: no answer within the time limit",
                                          server_->name(address_))};
    if (std::get<0>(failure))
        throw lost_connection{fmt::format("PostgreSQL at {}: {}", server_->name(address_),
                                          std::get<0>(failure).message())};
}

void connection::watch_socket()
{
    const int socket = PQsocket(handle_.get());
    // While libpq tries one host after the other, it closes its socket and may get the same
    // descriptor again, so the socket is assigned again each time.
    if (socket_.is_open())
        socket_.release();
    if (socket < 0)
        throw_connect_error(handle_.get(), server_->name(address_));
    socket_.assign(socket);
}

asio::awaitable<void> connection::connect()
{
    handle_.reset(server_->start(address_));
    if (!handle_)
        throw std::bad_alloc{};
    PQsetNoticeReceiver(handle_.get(), log_notice, warnings_.get());
    auto next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (PQstatus(handle_.get()) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
            throw_connect_error(handle_.get(), server_->name(address_));
        watch_socket();
        co_await wait_for_socket(next == PGRES_POLLING_READING ? readiness::readable
                                                               : readiness::writable);
        socket_.release();
        next = PQconnectPoll(handle_.get());
    }
    PQsetErrorVerbosity(handle_.get(), PQERRORS_DEFAULT);
    PQsetnonblocking(handle_.get(), 1);
    watch_socket();
}

/// Throws server_error when the server is too old, or read-only although writes are needed.
asio::awaitable<void> connection::set_up_session()
{
    const auto fail = [this](errc code, std::string_view reason) {
        throw server_error{
            code, fmt::format("PostgreSQL at {}: {}", server_->name(address_), reason), {}};
    };
    if (const int version = PQserverVersion(handle_.get()); version < min_server_version)
        fail(errc::store_access_denied,
             fmt::format("the server's version is {}.{}, and Pawl needs 13 or later",
                         version / 10000, version % 10000));
    constexpr std::string_view doing = "setting up the session";
    check_sent(PQsendQuery(handle_.get(), server_->setup().c_str()), doing);
    result_pointer rows;
    try {
        rows = co_await read_answer(doing);
    } catch (const lost_connection& lost) {
        if (!is_late_)
            throw;
        throw lost_connection{
            fmt::format("{}: connected, but the session does not answer; if there "
                        "is a pooler, it may have too few sessions",
                        lost.detail())};
    }
    if (server_->wants_writable() && PQntuples(rows.get()) == 1 &&
        std::string_view{PQgetvalue(rows.get(), 0, 0)} == "on")
        fail(errc::store_read_only, "the session is read-only: the server is a standby, or "
                                    "default_transaction_read_only is on");
}

void connection::end_attempt(const std::exception_ptr& failure)
{
    stop_time_limit();
    if (!failure)
        return;
    close();
    std::rethrow_exception(failure);
}

asio::awaitable<void> connection::open_address(host_address address)
{
    address_ = std::move(address);
    start_time_limit(server_->connect_timeout());
    std::exception_ptr failure;
    try {
        co_await connect();
        co_await set_up_session();
        server_->set_latest(address_);
    } catch (...) {
        failure = std::current_exception();
    }
    end_attempt(failure);
}

asio::awaitable<void> connection::open()
{
    close();
    connect_failures failures;
    for (const auto& address : server_->addresses()) {
        std::exception_ptr failure;
        try {
            co_await open_address(address);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return;
        failures.add(failure);
        if (failures.is_final() || is_interrupted_)
            break;
    }
    failures.raise();
}

void connection::check_sent(int sent, std::string_view doing)
{
    if (sent == 0)
        throw_result_error(handle_.get(), nullptr, server_->name(), doing);
}

/// The result of the statement that was sent last.
asio::awaitable<result_pointer> connection::read_answer(std::string_view doing)
{
    for (;;) {
        const int left = PQflush(handle_.get());
        check_sent(left >= 0 ? 1 : 0, doing);
        if (left == 0)
            break;
        co_await wait_for_socket(readiness::writable);
    }
    result_pointer last;
    for (;;) {
        while (PQisBusy(handle_.get())) {
            co_await wait_for_socket(readiness::readable);
            check_sent(PQconsumeInput(handle_.get()), doing);
        }
        result_pointer next{PQgetResult(handle_.get())};
        if (!next)
            break;
        // PQgetResult() would return the same result forever.
        const auto state = PQresultStatus(next.get());
        if (state == PGRES_COPY_IN || state == PGRES_COPY_OUT || state == PGRES_COPY_BOTH) {
            close();
            throw error{errc::invalid_argument, "COPY is not supported"};
        }
        // When there are several results, the first error names the cause.
        if (!last || PQresultStatus(last.get()) != PGRES_FATAL_ERROR)
            last = std::move(next);
    }
    const auto status = PQresultStatus(last.get());
    if (status == PGRES_EMPTY_QUERY)
        throw server_error{errc::invalid_argument, "the statement is empty", {}};
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw_result_error(handle_.get(), last.get(), server_->name(), doing);
    co_return last;
}

/// Ends the statement that was sent last. Closes the session if it cannot be used any longer.
void connection::end_statement(const std::exception_ptr& failure)
{
    stop_time_limit();
    if (!failure)
        return;
    bool ends_session = true;
    try {
        std::rethrow_exception(failure);
    } catch (const server_error& refused) {
        ends_session = refused.ends_session();
    } catch (...) { // the connection is lost, or its state is unknown
    }
    if (ends_session)
        close();
    std::rethrow_exception(failure);
}

asio::awaitable<result> connection::execute(const request& statement)
{
    const bool uses_name = prepares_ && *statement.name != 0;
    start_time_limit(answer_limit_);
    result_pointer rows;
    std::exception_ptr failure;
    try {
        if (uses_name && !prepared_.contains(statement.name)) {
            check_sent(
                PQsendPrepare(handle_.get(), statement.name, statement.sql.c_str(), 0, nullptr),
                statement.doing);
            co_await read_answer(statement.doing);
            prepared_.insert(statement.name);
        }
        const auto sent = statement.values.as_arrays([&](auto values, auto lengths, auto formats) {
            return uses_name
                       ? PQsendQueryPrepared(handle_.get(), statement.name,
                                             statement.values.count(), values, lengths, formats, 1)
                       : PQsendQueryParams(handle_.get(), statement.sql.c_str(),
                                           statement.values.count(), nullptr, values, lengths,
                                           formats, 1);
        });
        check_sent(sent, statement.doing);
        rows = co_await read_answer(statement.doing);
    } catch (...) {
        failure = std::current_exception();
    }
    end_statement(failure);
    co_return result{std::move(rows), server_->name()};
}

asio::awaitable<result_pointer> connection::execute(const std::string& sql,
                                                    const std::vector<postgres_value>& values,
                                                    std::string_view doing)
{
    if (!handle_)
        throw lost_connection{fmt::format("PostgreSQL at {}: {}: the connection has been lost",
                                          server_->name(address_), doing)};
    std::vector<const char*> texts;
    for (const auto& value : values)
        texts.push_back(value.text());
    start_time_limit(answer_limit_);
    result_pointer rows;
    std::exception_ptr failure;
    try {
        check_sent(PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(texts.size()),
                                     nullptr, texts.data(), nullptr, nullptr, 0),
                   doing);
        rows = co_await read_answer(doing);
    } catch (...) {
        failure = std::current_exception();
    }
    end_statement(failure);
    co_return rows;
}

asio::awaitable<void> connection::run_script(std::string sql, std::string_view doing,
                                             clock::duration limit)
{
    start_time_limit(limit);
    std::exception_ptr failure;
    try {
        check_sent(PQsendQuery(handle_.get(), sql.c_str()), doing);
        co_await read_answer(doing);
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
