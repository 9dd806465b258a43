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

/// Makes the settings of a store's session and asks whether the session is read-only. It is a
/// statement, because a pooler may refuse settings in the startup packet. Settings that the user
/// gave in the startup packet are kept.
std::string setup_statement(const postgres_options& options)
{
    const std::string question = "SELECT pg_catalog.current_setting('transaction_read_only')";
    if (options.poll_only)
        return question;
    // JIT compilation takes longer than any of these statements. apply() requires READ COMMITTED,
    // whatever the database's default is. Each read must use an index also in the first minute of a
    // table, in which the planner has no statistics and assumes that the table is small.
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
    for (const auto* option = options.get(); option && option->keyword; ++option)
        if (option->val && *option->val)
            values.emplace(option->keyword, option->val);
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

std::vector<host_address> split_hosts(const std::string& hosts, const std::string& addresses,
                                      const std::string& ports)
{
    const auto names = split(hosts);
    const auto numbers = split(addresses);
    const auto port_list = split(ports);
    const auto count = std::max<std::size_t>(1, numbers.empty() ? names.size() : numbers.size());
    const auto fits = [count](const auto& list) {
        return list.empty() || list.size() == count;
    };
    // libpq reports what is wrong with the lists.
    if (!fits(names) || (!fits(port_list) && port_list.size() != 1))
        return {{.host = hosts, .ip = addresses, .port = ports, .attributes = {}}};
    std::vector<host_address> parsed(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!names.empty())
            parsed[i].host = names[i];
        if (!numbers.empty())
            parsed[i].ip = numbers[i];
        if (!port_list.empty())
            parsed[i].port = port_list.size() == 1 ? port_list.front() : port_list[i];
    }
    return parsed;
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
    for (const auto* found_address = all.get(); found_address;
         found_address = found_address->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(found_address->ai_addr, found_address->ai_addrlen, text, sizeof text,
                          nullptr, 0, NI_NUMERICHOST) == 0 &&
            std::ranges::find(addresses, text) == addresses.end())
            addresses.emplace_back(text);
    }
    return addresses;
}

} // namespace

/// The settings of the URI itself.
target::settings target::parse(const std::string& uri)
{
    char* problem = nullptr;
    const option_list parsed{PQconninfoParse(uri.c_str(), &problem), &PQconninfoFree};
    const std::unique_ptr<char, decltype(&PQfreemem)> message{problem, &PQfreemem};
    if (!parsed)
        refuse(problem ? problem : "no memory");
    return values_of(parsed);
}

/// The settings that libpq would connect with, including those of service files, the environment
/// and its own defaults. libpq reveals them only to a connection that was started, so the value of
/// `invalid_keyword` is made invalid: libpq then refuses to connect. That value is lost.
target::settings target::resolve(settings given, const std::string& invalid_keyword)
{
    const std::string refused = "?";
    given[invalid_keyword] = refused;
    const std::unique_ptr<PGconn, decltype(&PQfinish)> started{start_with(given), &PQfinish};
    if (!started)
        throw std::bad_alloc{};
    auto all = values_of({PQconninfo(started.get()), &PQconninfoFree});
    if (all[invalid_keyword] != refused)
        refuse(PQerrorMessage(started.get()));
    all.erase(invalid_keyword);
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

    const auto hosts = extract_setting("host");
    const auto addresses = extract_setting("hostaddr");
    const auto ports = extract_setting("port");
    hosts_ = split_hosts(hosts, addresses, ports);
    name_ = name({.host = hosts, .ip = addresses, .port = ports, .attributes = {}});
    choose_attributes(extract_setting("target_session_attrs"),
                      given.contains("target_session_attrs") ||
                          std::getenv("PGTARGETSESSIONATTRS") != nullptr);

    // libpq does not apply connect_timeout to a connection that does not block.
    int whole = 0;
    const auto text = extract_setting("connect_timeout");
    std::from_chars(text.data(), text.data() + text.size(), whole);
    connect_timeout_ = options.connect_timeout;
    if (whole > 0)
        connect_timeout_ = std::chrono::seconds{whole};
}

std::string target::extract_setting(const std::string& keyword)
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
        for (auto& host : hosts_)
            host.attributes = "standby";
        for (auto& host : others)
            host.attributes = "any";
        hosts_.insert(hosts_.end(), others.begin(), others.end());
        return;
    }
    for (auto& host : hosts_)
        host.attributes = wants_writable_ ? "any" : resolved;
}

std::vector<host_address> target::addresses() const
{
    std::vector<host_address> all;
    for (const auto& host : hosts_) {
        std::vector<std::string> numbers;
        if (host.ip.empty() && is_network_name(host.host))
            numbers = addresses_of(host.host);
        if (numbers.empty())
            numbers.push_back(host.ip);
        for (auto& ip : numbers) {
            all.push_back(host);
            all.back().ip = std::move(ip);
        }
    }
    const std::lock_guard lock{mutex_};
    if (latest_)
        if (const auto found = std::ranges::find(all, *latest_); found != all.end())
            std::rotate(all.begin(), found, found + 1);
    return all;
}

void target::set_latest(const host_address& address) const
{
    const std::lock_guard lock{mutex_};
    latest_ = address;
}

bool target::is_latest(const host_address& address) const
{
    const std::lock_guard lock{mutex_};
    return latest_ == address;
}

std::string target::name(const host_address& address) const
{
    const auto value = [this](const std::string& keyword) -> std::string_view {
        const auto found = settings_.find(keyword);
        return found == settings_.end() ? std::string_view{} : found->second;
    };
    const auto first = [](std::initializer_list<std::string_view> choices) {
        return *std::ranges::find_if(choices, [](auto choice) { return !choice.empty(); });
    };
    std::string host{first({address.host, address.ip, "the default host"})};
    if (!address.ip.empty() && address.ip != address.host && !address.host.empty())
        host += fmt::format(" ({})", address.ip);
    return fmt::format("{}:{}/{}", host, first({address.port, "5432"}),
                       first({value("dbname"), value("user"), "the user's database"}));
}

PGconn* target::start(const host_address& address) const
{
    auto settings = settings_;
    settings["host"] = address.host;
    settings["hostaddr"] = address.ip;
    settings["port"] = address.port;
    settings["target_session_attrs"] = address.attributes;
    PGconn* started = start_with(settings);
    // The SQLSTATE of an error while connecting is only in its verbose text.
    if (started)
        PQsetErrorVerbosity(started, PQERRORS_VERBOSE);
    return started;
}

} // namespace pawl::postgres
