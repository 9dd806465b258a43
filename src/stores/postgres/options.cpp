#include "stores/postgres/options.hpp"

#include "core/option_check.hpp"
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
    const core::option_check check{"postgres_options::"};
    check.within("transaction_connections", options.transaction_connections, 1, max_connections);
    check.within("read_connections", options.read_connections, 1, max_connections);
    check.within("connect_timeout", options.connect_timeout, 1s, 10min);
    check.within("statement_timeout", options.statement_timeout, 10ms, 1h);
    check.within("lock_timeout", options.lock_timeout, 10ms, 1h);
    check.within("idle_in_transaction_timeout", options.idle_in_transaction_timeout, 10ms, 1h);
    check.within("network_timeout", options.network_timeout, 1s, 1h);
    check.within("reconnect_backoff_initial", options.reconnect_backoff_initial, 1ms, 10min);
    check.within("reconnect_backoff_max", options.reconnect_backoff_max,
                 options.reconnect_backoff_initial, 10min);
    check.within("notify_batch_interval", options.notify_batch_interval, 0s, 10s);
    if (options.poll_interval != duration{0})
        check.within("poll_interval", options.poll_interval, 10ms, 1h);
}

} // namespace pawl::postgres
