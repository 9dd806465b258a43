#include "stores/postgres/trouble_log.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

#include <string>

namespace pawl::postgres {

namespace {

constexpr std::chrono::minutes silence{1};

/// Of a detail, in bytes: a stranger may have chosen it.
constexpr std::size_t longest_detail = 500;

std::string_view sentence(trouble kind)
{
    switch (kind) {
    case trouble::foreign_notification:
        return "ignored a notification that is not one of Pawl's";
    case trouble::foreign_row:
        return "ignored a row with a number out of its range";
    case trouble::not_listening:
        return "does not hear notifications, and only polls";
    case trouble::not_asking:
        return "could not ask for the commits of other processes";
    case trouble::not_notifying:
        return "could not notify other processes of commits, which find them by polling";
    case trouble::connection_lost:
        return "lost a connection";
    case trouble::connection_failed:
        return "could not connect";
    case trouble::statement_repeated:
        return "sends a statement again that the server has rolled back";
    case trouble::batch_divided:
        return "divided a batch into several transactions";
    case trouble::server_warning:
        return "the server warns";
    case trouble::hearer_failed:
        return "a function that was given to subscribe() threw";
    case trouble::commits_lost:
        return "the database has lost commits";
    case trouble::row_locked:
        return "changes wait for a row that another session has locked";
    }
    return "";
}

} // namespace

void trouble_log::tell(trouble kind, std::string_view detail) noexcept
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
        tally.silent_until = now + silence;
    }
    const auto text = times == 1
                          ? fmt::format("PostgreSQL: {}", sentence(kind))
                          : fmt::format("PostgreSQL: {} ({} times so far)", sentence(kind), times);
    const log_entry entry{
        .level = log_level::warn, .text = text, .error = detail.substr(0, longest_detail)};
    try {
        sink_(entry);
    } catch (...) {
        log_to_stderr(entry);
    }
} catch (...) { // no memory for a line
}

void trouble_log::tell(trouble kind, const std::exception_ptr& failure) noexcept
{
    try {
        std::rethrow_exception(failure);
    } catch (const error& thrown) {
        tell(kind, thrown.detail());
    } catch (const std::exception& thrown) {
        tell(kind, std::string_view{thrown.what()});
    } catch (...) {
        tell(kind, std::string_view{"an exception of an unknown type"});
    }
}

} // namespace pawl::postgres
