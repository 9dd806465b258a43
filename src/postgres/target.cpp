#include "postgres/target.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace pawl::postgres {

namespace {

std::int64_t seconds(duration time)
{
    return std::chrono::ceil<std::chrono::seconds>(time).count();
}

std::int64_t milliseconds(duration time)
{
    return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}

/// Settings of the server for a session, as its command line takes them.
std::string session_settings(const postgres_options& options)
{
    // Compiling a plan takes longer than any of these statements. READ COMMITTED is what apply()
    // is written for, whatever the database's default is. Each read has an index to go by, also in
    // the first minute of a table, in which the planner has no statistics and thinks it small.
    return fmt::format("-c statement_timeout={} -c lock_timeout={} "
                       "-c idle_in_transaction_session_timeout={} -c jit=off "
                       "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off "
                       "-c enable_mergejoin=off "
                       "-c default_transaction_isolation=read\\ committed",
                       milliseconds(options.statement_timeout), milliseconds(options.lock_timeout),
                       milliseconds(options.idle_in_transaction_timeout));
}

} // namespace

target::target(const std::string& uri, const postgres_options& options)
{
    char* problem = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed{
        PQconninfoParse(uri.c_str(), &problem), &PQconninfoFree};
    const std::unique_ptr<char, decltype(&PQfreemem)> message{problem, &PQfreemem};
    if (!parsed) {
        std::string_view text = problem ? problem : "no memory";
        text = text.substr(0, text.find_last_not_of('\n') + 1);
        throw error{errc::invalid_argument, fmt::format("the URI of PostgreSQL: {}", text)};
    }
    for (const auto* each = parsed.get(); each->keyword; ++each)
        if (each->val)
            add(each->keyword, each->val);

    const auto add_default = [this](std::string keyword, std::string text) {
        if (!has(keyword))
            add(std::move(keyword), std::move(text));
    };
    add_default("connect_timeout", std::to_string(seconds(options.connect_timeout)));
    add_default("fallback_application_name", "pawl");
    add_default("keepalives_idle", std::to_string(seconds(options.network_timeout)));
    add_default("keepalives_interval",
                std::to_string(std::max<std::int64_t>(1, seconds(options.network_timeout) / 3)));
    add_default("keepalives_count", "3");
    add_default("tcp_user_timeout", std::to_string(milliseconds(options.network_timeout)));
    if (!options.poll_only) {
        // The user's own options come last, so that they win.
        add("options", session_settings(options) + " " + value("options", ""));
    }

    const auto hosts = value("host", value("hostaddr", "the default host"));
    name_ = fmt::format("{}:{}/{}", hosts, value("port", "5432"),
                        value("dbname", value("user", "the user's database")));
    int each_host = 0;
    const auto text = value("connect_timeout", "5");
    std::from_chars(text.data(), text.data() + text.size(), each_host);
    time_limit_ =
        std::chrono::seconds{std::max(each_host, 2)} * (1 + std::ranges::count(hosts, ','));
}

bool target::has(std::string_view keyword) const
{
    return std::ranges::find(keywords_, keyword) != keywords_.end();
}

std::string target::value(std::string_view keyword, std::string otherwise) const
{
    const auto found = std::ranges::find(keywords_, keyword);
    if (found == keywords_.end())
        return otherwise;
    return values_[static_cast<std::size_t>(found - keywords_.begin())];
}

void target::add(std::string keyword, std::string value)
{
    const auto found = std::ranges::find(keywords_, keyword);
    if (found != keywords_.end()) {
        values_[static_cast<std::size_t>(found - keywords_.begin())] = std::move(value);
        return;
    }
    keywords_.push_back(std::move(keyword));
    values_.push_back(std::move(value));
}

PGconn* target::start() const
{
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& each : keywords_)
        keywords.push_back(each.c_str());
    for (const auto& each : values_)
        values.push_back(each.c_str());
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    PGconn* begun = PQconnectStartParams(keywords.data(), values.data(), 0);
    // The only way to learn the code of an error that comes while connecting: it is in the text.
    if (begun)
        PQsetErrorVerbosity(begun, PQERRORS_VERBOSE);
    return begun;
}

} // namespace pawl::postgres
