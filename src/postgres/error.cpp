#include "postgres/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

namespace pawl::postgres {

namespace {

/// Source: PostgreSQL's manual, appendix A.
errc meaning(std::string_view state)
{
    const auto is_class = [state](std::string_view first) {
        return state.starts_with(first);
    };
    if (state == "53100" || state == "53200")
        return state == "53100" ? errc::store_full : errc::store_unavailable;
    if (state == "25006" || state == "25007")
        return errc::store_read_only;
    if (is_class("28") || state == "3D000" || state == "42501")
        return errc::store_refused;
    if (is_class("54"))
        return errc::too_large;
    if (is_class("42") || is_class("3F") || is_class("22") || is_class("23") || is_class("XX"))
        return errc::store_damaged;
    return errc::store_unavailable;
}

/// One line, without what PostgreSQL adds for its developers.
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

bool server_error::is_passing() const noexcept
{
    // Two batches that waited for each other, or made the same row at the same time.
    return state_ == "40001" || state_ == "40P01" || state_ == "23505";
}

void throw_connect_error(PGconn* failed, const std::string& where)
{
    const auto text = one_line(PQerrorMessage(failed));
    static const std::regex code{R"(:  ([0-9A-Z]{5}): )"};
    std::smatch found;
    // The last one: a list of hosts tells of each in turn.
    std::string state;
    for (auto at = text.cbegin(); std::regex_search(at, text.cend(), found, code);
         at = found.suffix().first)
        state = found[1];
    throw server_error{state.empty() ? errc::store_unavailable : meaning(state),
                       fmt::format("PostgreSQL at {}: {}", where, text), state};
}

void throw_result_error(PGconn* on, const PGresult* result, const std::string& where,
                        std::string_view doing)
{
    const auto state = result ? field(result, PG_DIAG_SQLSTATE) : std::string{};
    // Sessions that are ended by an administrator are told so (57P01 to 57P03) and then closed.
    if (state.empty() || state.starts_with("57P") || state.starts_with("08") ||
        PQstatus(on) == CONNECTION_BAD)
        throw lost_connection{
            fmt::format("PostgreSQL at {}: {}: the connection was lost: {}", where, doing,
                        one_line(result ? PQresultErrorMessage(result) : PQerrorMessage(on)))};
    auto text = field(result, PG_DIAG_MESSAGE_PRIMARY);
    if (const auto detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
        text += fmt::format(" ({})", detail);
    throw server_error{
        meaning(state),
        fmt::format("PostgreSQL at {}: {}: {} (SQLSTATE {})", where, doing, one_line(text), state),
        state};
}

void throw_damaged(std::string_view where, std::string_view what)
{
    throw error{errc::store_damaged, fmt::format("PostgreSQL at {}: {}", where, what)};
}

} // namespace pawl::postgres
