#include "stores/postgres/target.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

/// Sets what the sessions of a store have, and asks whether they are read-only. By a statement: a
/// pooler may refuse settings in the startup packet. Those that the user gave there stay.
std::string setup_statement(const postgres_options& options)
{
    const std::string question = "SELECT pg_catalog.current_setting('transaction_read_only')";
    if (options.poll_only)
        return question;
    // Compiling a plan takes longer than any of these statements. READ COMMITTED is what apply()
    // is written for, whatever the database's default is. Each read has an index to go by, also in
    // the first minute of a table, in which the planner has no statistics and thinks it small.
    return fmt::format(
        "{}, count(pg_catalog.set_config(name, value, false)) FROM (VALUES "
        "('statement_timeout', '{}'), ('lock_timeout', '{}'), "
        "('idle_in_transaction_session_timeout', '{}'), ('jit', 'off'), "
        "('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), "
        "('enable_mergejoin', 'off'), ('default_transaction_isolation', 'read committed')) "
        "AS wanted (name, value) JOIN pg_catalog.pg_settings USING (name) WHERE source <> 'client'",
        question, milliseconds(options.statement_timeout), milliseconds(options.lock_timeout),
        milliseconds(options.idle_in_transaction_timeout));
}

[[noreturn]] void refuse(std::string_view text)
{
    text = text.substr(0, text.find_last_not_of('\n') + 1);
    throw error{errc::invalid_argument, fmt::format("the URI of PostgreSQL: {}", text)};
}

using option_list = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

std::map<std::string, std::string> values_of(const option_list& options)
{
    std::map<std::string, std::string> values;
    for (const auto* each = options.get(); each && each->keyword; ++each)
        if (each->val && *each->val)
            values.emplace(each->keyword, each->val);
    return values;
}

PGconn* start_with(const std::map<std::string, std::string>& settings)
{
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [keyword, value] : settings) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectStartParams(keywords.data(), values.data(), 0);
}

std::vector<std::string> split(std::string_view list)
{
    std::vector<std::string> parts;
    if (list.empty())
        return parts;
    for (;;) {
        const auto comma = list.find(',');
        parts.emplace_back(list.substr(0, comma));
        if (comma == list.npos)
            return parts;
        list.remove_prefix(comma + 1);
    }
}

std::vector<target::place> split_hosts(const std::string& hosts, const std::string& addresses,
                                       const std::string& ports)
{
    const auto names = split(hosts);
    const auto numbers = split(addresses);
    const auto doors = split(ports);
    const auto count = std::max<std::size_t>(1, numbers.empty() ? names.size() : numbers.size());
    const auto fits = [count](const auto& list) {
        return list.empty() || list.size() == count;
    };
    // It is libpq that says what is wrong with them.
    if (!fits(names) || (!fits(doors) && doors.size() != 1))
        return {{.host = hosts, .address = addresses, .port = ports, .attributes = {}}};
    std::vector<target::place> places(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!names.empty())
            places[i].host = names[i];
        if (!numbers.empty())
            places[i].address = numbers[i];
        if (!doors.empty())
            places[i].port = doors.size() == 1 ? doors.front() : doors[i];
    }
    return places;
}

bool is_network_name(const std::string& host)
{
    return !host.empty() && host.front() != '/' && host.front() != '@';
}

/// Every address of the name, in the order of the resolver; empty when there is none.
std::vector<std::string> addresses_of(const std::string& host)
{
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &wanted, &found) != 0)
        return {};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all{found, &::freeaddrinfo};
    std::vector<std::string> addresses;
    for (const auto* each = all.get(); each; each = each->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0,
                          NI_NUMERICHOST) == 0 &&
            std::ranges::find(addresses, text) == addresses.end())
            addresses.emplace_back(text);
    }
    return addresses;
}

} // namespace

/// What the URI itself says.
target::settings target::parse(const std::string& uri)
{
    char* problem = nullptr;
    const option_list parsed{PQconninfoParse(uri.c_str(), &problem), &PQconninfoFree};
    const std::unique_ptr<char, decltype(&PQfreemem)> message{problem, &PQfreemem};
    if (!parsed)
        refuse(problem ? problem : "no memory");
    return values_of(parsed);
}

/// What libpq would connect with: also what service files, the environment and its own defaults
/// say. There is no other way to learn that than to begin to connect; `spoiled` is a keyword whose
/// value libpq refuses before it does, and is lost.
target::settings target::resolve(settings given, const std::string& spoiled)
{
    const std::string refused = "?";
    given[spoiled] = refused;
    const std::unique_ptr<PGconn, decltype(&PQfinish)> begun{start_with(given), &PQfinish};
    if (!begun)
        throw std::bad_alloc{};
    auto all = values_of({PQconninfo(begun.get()), &PQconninfoFree});
    if (all[spoiled] != refused)
        refuse(PQerrorMessage(begun.get()));
    all.erase(spoiled);
    return all;
}

target::target(const std::string& uri, const postgres_options& options)
{
    const auto given = parse(uri);
    settings_ = resolve(given, "channel_binding");
    settings_.merge(resolve(given, "sslmode"));
    settings_.erase("service"); // it has been read

    const auto add_default = [this](const std::string& keyword, std::string text) {
        settings_.try_emplace(keyword, std::move(text));
    };
    add_default("fallback_application_name", "pawl");
    add_default("keepalives_idle", std::to_string(seconds(options.network_timeout)));
    add_default("keepalives_interval",
                std::to_string(std::max<std::int64_t>(1, seconds(options.network_timeout) / 3)));
    add_default("keepalives_count", "3");
    add_default("tcp_user_timeout", std::to_string(milliseconds(options.network_timeout)));
    setup_ = setup_statement(options);

    const auto hosts = take("host");
    const auto addresses = take("hostaddr");
    const auto ports = take("port");
    hosts_ = split_hosts(hosts, addresses, ports);
    name_ = name({.host = hosts, .address = addresses, .port = ports, .attributes = {}});
    choose_attributes(take("target_session_attrs"),
                      given.contains("target_session_attrs") ||
                          std::getenv("PGTARGETSESSIONATTRS") != nullptr);

    // libpq leaves it to those who connect without blocking.
    int whole = 0;
    const auto text = take("connect_timeout");
    std::from_chars(text.data(), text.data() + text.size(), whole);
    connect_timeout_ = options.connect_timeout;
    if (whole > 0)
        connect_timeout_ = std::chrono::seconds{whole};
}

std::string target::take(const std::string& keyword)
{
    auto found = settings_.extract(keyword);
    return found ? std::move(found.mapped()) : std::string{};
}

void target::choose_attributes(const std::string& resolved, bool is_given)
{
    // "any" is also libpq's default.
    wants_writable_ = resolved == "read-write" || (resolved == "any" && !is_given);
    if (resolved == "prefer-standby") {
        auto others = hosts_;
        for (auto& each : hosts_)
            each.attributes = "standby";
        for (auto& each : others)
            each.attributes = "any";
        hosts_.insert(hosts_.end(), others.begin(), others.end());
        return;
    }
    for (auto& each : hosts_)
        each.attributes = wants_writable_ ? "any" : resolved;
}

std::vector<target::place> target::places() const
{
    std::vector<place> all;
    for (const auto& host : hosts_) {
        std::vector<std::string> addresses;
        if (host.address.empty() && is_network_name(host.host))
            addresses = addresses_of(host.host);
        if (addresses.empty())
            addresses.push_back(host.address);
        for (auto& address : addresses) {
            all.push_back(host);
            all.back().address = std::move(address);
        }
    }
    const std::lock_guard lock{mutex_};
    if (latest_)
        if (const auto found = std::ranges::find(all, *latest_); found != all.end())
            std::rotate(all.begin(), found, found + 1);
    return all;
}

void target::opened(const place& at) const
{
    const std::lock_guard lock{mutex_};
    latest_ = at;
}

bool target::is_latest(const place& at) const
{
    const std::lock_guard lock{mutex_};
    return latest_ == at;
}

std::string target::name(const place& at) const
{
    const auto value = [this](const std::string& keyword) -> std::string_view {
        const auto found = settings_.find(keyword);
        return found == settings_.end() ? std::string_view{} : found->second;
    };
    const auto first = [](std::initializer_list<std::string_view> choices) {
        return *std::ranges::find_if(choices, [](auto each) { return !each.empty(); });
    };
    std::string host{first({at.host, at.address, "the default host"})};
    if (!at.address.empty() && at.address != at.host && !at.host.empty())
        host += fmt::format(" ({})", at.address);
    return fmt::format("{}:{}/{}", host, first({at.port, "5432"}),
                       first({value("dbname"), value("user"), "the user's database"}));
}

PGconn* target::start(const place& at) const
{
    auto settings = settings_;
    settings["host"] = at.host;
    settings["hostaddr"] = at.address;
    settings["port"] = at.port;
    settings["target_session_attrs"] = at.attributes;
    PGconn* begun = start_with(settings);
    // The only way to learn the code of an error that comes while connecting: it is in the text.
    if (begun)
        PQsetErrorVerbosity(begun, PQERRORS_VERBOSE);
    return begun;
}

} // namespace pawl::postgres
