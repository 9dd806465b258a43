#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <regex>

namespace pawl::postgres {

namespace {

/// Source: PostgreSQL's manual, appendix A.
errc meaning(std::string_view state)
{
    struct rule {
        std::string_view prefix;
        errc code;
    };
    // The first match counts.
    static constexpr rule rules[] = {
        {"22", errc::invalid_argument}, // a value that the server does not take
        {"23", errc::invalid_argument}, // a constraint that is not Pawl's
        {"25006", errc::store_read_only},
        {"26000", errc::store_access_denied}, // a pooler has changed the session under a statement
        {"28", errc::store_access_denied},
        {"3D000", errc::store_access_denied},
        {"3F", errc::store_corrupt},
        {"42501", errc::store_access_denied},
        {"42P05", errc::store_access_denied}, // as 26000
        {"42", errc::store_corrupt},
        {"53100", errc::store_full},
        {"54", errc::too_large},
        {"P0001", errc::invalid_argument}, // a trigger that is not Pawl's
        {"XX001", errc::store_corrupt},
        {"XX002", errc::store_corrupt},
    };
    const auto* const found = std::ranges::find_if(
        rules, [state](const rule& candidate) { return state.starts_with(candidate.prefix); });
    return found == std::end(rules) ? errc::store_unavailable : found->code;
}

/// What the user can do, where the server's own text does not say it.
std::string_view advice(std::string_view state)
{
    if (state == "57014")
        return ": see postgres_options::statement_timeout";
    if (state == "55P03")
        return ": see postgres_options::lock_timeout";
    if (state == "26000" || state == "42P05")
        return ": set postgres_options::poll_only behind a pooler that changes sessions between "
               "transactions";
    return "";
}

/// The text as one line, without the source location.
std::string one_line(std::string_view text)
{
    std::string line;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto part = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (part.empty() || part.starts_with("LOCATION:"))
            continue;
        if (!line.empty())
            line += ' ';
        const auto first = part.find_first_not_of(" \t");
        line += part.substr(first == part.npos ? 0 : first);
    }
    return line;
}

std::string field(const PGresult* result, int code)
{
    const char* text = PQresultErrorField(result, code);
    return text ? text : "";
}

} // namespace

bool server_error::is_conflict() const noexcept
{
    // Two batches waited for each other, or inserted the same row at the same time.
    return state_ == "40001" || state_ == "40P01" || state_ == "23505";
}

bool server_error::ends_session() const noexcept
{
    static constexpr std::string_view states[] = {
        "0A000",          // the result of a prepared statement has changed
        "25006",          // the server takes no writes
        "26000", "42P05", // the pooler has changed the server session
        "3F000", "42704", "42804", "42883", "42P01", // the schema was replaced
        "XX000", // the schema was replaced, or a temporary error
    };
    return std::ranges::find(states, state_) != std::end(states);
}

void throw_connect_error(PGconn* failed, const std::string& server)
{
    const auto text = one_line(PQerrorMessage(failed));
    static const std::regex code{R"(:  ([0-9A-Z]{5}): )"};
    std::smatch found;
    // The last code counts: the text lists the failures of all hosts.
    std::string state;
    for (auto rest = text.cbegin(); std::regex_search(rest, text.cend(), found, code);
         rest = found.suffix().first)
        state = found[1];
    // All errors of PgBouncer itself have the same SQLSTATE; their texts are not translated.
    if (state == "08P01" && text.find("unsupported startup parameter") != text.npos)
        throw server_error{errc::store_access_denied,
                           fmt::format("PostgreSQL at {}: {}: let PgBouncer ignore it "
                                       "(ignore_startup_parameters) and make its settings with "
                                       "ALTER ROLE ... SET, or do not send it",
                                       server, text),
                           state};
    throw server_error{state.empty() ? errc::store_unavailable : meaning(state),
                       fmt::format("PostgreSQL at {}: {}", server, text), state};
}

void throw_result_error(PGconn* link, const PGresult* result, const std::string& server,
                        std::string_view doing)
{
    const auto state = result ? field(result, PG_DIAG_SQLSTATE) : std::string{};
    const auto severity = result ? field(result, PG_DIAG_SEVERITY_NONLOCALIZED) : std::string{};
    // A server that ends a session reports an error first, and then closes the connection.
    if (state.empty() || severity == "FATAL" || severity == "PANIC" || state.starts_with("08") ||
        PQstatus(link) == CONNECTION_BAD)
        throw lost_connection{
            fmt::format("PostgreSQL at {}: {}: the connection was lost: {}", server, doing,
                        one_line(result ? PQresultErrorMessage(result) : PQerrorMessage(link)))};
    auto text = field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (const auto detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
        text += fmt::format(" ({})", detail);
    throw server_error{meaning(state),
                       fmt::format("PostgreSQL at {}: {}: {} (SQLSTATE {}){}", server, doing,
                                   one_line(text), state, advice(state)),
                       state};
}

void throw_corrupt(std::string_view server, std::string_view problem)
{
    throw error{errc::store_corrupt, fmt::format("PostgreSQL at {}: {}", server, problem)};
}

} // namespace pawl::postgres
