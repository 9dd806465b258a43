#include "stores/postgres/warning_log.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

#include <string>

namespace pawl::postgres {

namespace {

constexpr std::chrono::minutes min_interval{1};

/// Maximum bytes of a detail, whose text may come from another program.
constexpr std::size_t max_detail_bytes = 500;

std::string_view sentence(warning kind)
{
    switch (kind) {
    case warning::unknown_notification:
        return "ignored a notification that is not one of Pawl's";
    case warning::invalid_row:
        return "ignored a row with a number out of range";
    case warning::listen_failed:
        return "does not receive notifications, and only polls";
    case warning::poll_failed:
        return "could not poll for the commits of other processes";
    case warning::notify_failed:
        return "could not notify other processes of commits, which find them by polling";
    case warning::connection_lost:
        return "lost a connection";
    case warning::connection_failed:
        return "could not connect";
    case warning::statement_repeated:
        return "repeats a statement that the server has rolled back";
    case warning::batch_divided:
        return "divided a batch into several transactions";
    case warning::server_warning:
        return "the server warns";
    case warning::handler_failed:
        return "a handler that was passed to subscribe() threw";
    case warning::commits_lost:
        return "the database has lost commits";
    case warning::row_locked:
        return "changes wait for a row that another session has locked";
    }
    return "";
}

} // namespace

void warning_log::report(warning kind, std::string_view detail) noexcept
try {
    if (!sink_)
        return;
    std::uint64_t times = 0;
    {
        const std::lock_guard lock{mutex_};
        auto& tally = tallies_.at(static_cast<std::size_t>(kind));
        times = ++tally.all;
        const auto now = clock::now();
        if (now < tally.silent_until)
            return;
        tally.silent_until = now + min_interval;
    }
    const auto text = times == 1
                          ? fmt::format("PostgreSQL: {}", sentence(kind))
                          : fmt::format("PostgreSQL: {} ({} times so far)", sentence(kind), times);
    const log_entry entry{
        .level = log_level::warn, .text = text, .error = detail.substr(0, max_detail_bytes)};
    try {
        sink_(entry);
    } catch (...) {
        log_to_stderr(entry);
    }
} catch (...) { // no memory for a line
}

void warning_log::report(warning kind, const std::exception_ptr& failure) noexcept
{
    try {
        std::rethrow_exception(failure);
    } catch (const error& thrown) {
        report(kind, thrown.detail());
    } catch (const std::exception& thrown) {
        report(kind, std::string_view{thrown.what()});
    } catch (...) {
        report(kind, std::string_view{"an exception of an unknown type"});
    }
}

} // namespace pawl::postgres
