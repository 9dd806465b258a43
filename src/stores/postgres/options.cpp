#include "stores/postgres/options.hpp"

#include "pawl/error.hpp"
#include "stores/common/store_semantics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace pawl::postgres {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_schema_name = 48;
constexpr std::size_t max_connections = 100;

/// "10 s", or "250 ms" unless the time is in whole seconds.
std::string text_of(duration time)
{
    if (time % 1s == duration{0})
        return fmt::format("{} s", time / 1s);
    return fmt::format("{} ms", std::chrono::duration<double, std::milli>{time}.count());
}

void check_time(std::string_view name, duration value, duration least, duration most)
{
    if (value < least || value > most)
        throw definition_error{fmt::format("postgres_options::{} is {}; it must be from {} to {}",
                                           name, text_of(value), text_of(least), text_of(most))};
}

void check_schema_name(std::string_view name)
{
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || c == '_';
    };
    const auto is_allowed = [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9');
    };
    if (name.empty() || name.size() > max_schema_name || !is_letter(name.front()) ||
        !std::ranges::all_of(name, is_allowed) || name.starts_with("pg_"))
        throw definition_error{fmt::format(
            "postgres_options::schema is \"{}\"; it must have 1 to {} lower-case letters, digits "
            "and '_', and begin neither with a digit nor with \"pg_\"",
            name, max_schema_name)};
}

} // namespace

void check(const postgres_options& options)
{
    core::check_shard_count("postgres_options", options.shards);
    check_schema_name(options.schema);
    if (options.transaction_connections == 0 || options.transaction_connections > max_connections)
        throw definition_error{
            fmt::format("postgres_options::transaction_connections is {}; it must be from 1 to {}",
                        options.transaction_connections, max_connections)};
    if (options.read_connections == 0 || options.read_connections > max_connections)
        throw definition_error{
            fmt::format("postgres_options::read_connections is {}; it must be from 1 to {}",
                        options.read_connections, max_connections)};
    check_time("connect_timeout", options.connect_timeout, 1s, 10min);
    check_time("statement_timeout", options.statement_timeout, 10ms, 1h);
    check_time("lock_timeout", options.lock_timeout, 10ms, 1h);
    check_time("idle_in_transaction_timeout", options.idle_in_transaction_timeout, 10ms, 1h);
    check_time("network_timeout", options.network_timeout, 1s, 1h);
    check_time("reconnect_backoff_initial", options.reconnect_backoff_initial, 1ms, 10min);
    check_time("reconnect_backoff_max", options.reconnect_backoff_max,
               options.reconnect_backoff_initial, 10min);
    check_time("notify_batch_interval", options.notify_batch_interval, 0s, 10s);
    if (options.poll_interval != duration{0})
        check_time("poll_interval", options.poll_interval, 10ms, 1h);
}

} // namespace pawl::postgres
