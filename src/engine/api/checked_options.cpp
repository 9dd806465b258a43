#include "engine/api/checked_options.hpp"

#include "core/option_check.hpp"
#include "definition/check_definition.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/guards.hpp"

#include <fmt/format.h>

#include <random>
#include <utility>

#include <unistd.h>

namespace pawl::engine_detail {

namespace {

void check_ranges(const engine_options& options)
{
    using namespace std::chrono_literals;
    const core::option_check check{"engine_options::"};
    check.require(options.store != nullptr,
                  "store is required: give it open_memory(), open_sqlite(path) or your own store");
    check.require(options.clock != nullptr,
                  "clock must not be null: leave the default for the machine's clocks");
    check.at_least("max_active_runs", options.max_active_runs, 1);
    check.at_least("max_limited_runs", options.max_limited_runs, 1);
    check.at_least("urgent_runs", options.urgent_runs, 1);
    check.at_least("max_batch", options.max_batch, 1);
    check.at_least("max_batch_bytes", options.max_batch_bytes, 1);
    check.within("max_pending_messages", options.max_pending_messages, 1, 1'000'000);
    check.at_least("max_waiting_calls", options.max_waiting_calls, 1);
    check.at_least("max_object_size", options.max_object_size, 1);
    check.at_least("cancellation_grace", options.cancellation_grace, 1us);
    check.at_least("lease_duration", options.lease_duration, 100ms);
    check.at_least("poll_interval", options.poll_interval, 10ms);
    check.at_least("hook_attempt_timeout", options.hook_attempt_timeout, 0s);
    check.within("max_bulk_commands", options.max_bulk_commands, 1, 1'000);
    check.at_least("max_audit_entries", options.max_audit_entries, 1'000);
    if (options.max_crashes != 0 && options.max_crashes < crash_suspects::min_crash_limit)
        check.refuse("max_crashes", core::text_of(options.max_crashes),
                     "0, for no limit, or at least " +
                         core::text_of(crash_suspects::min_crash_limit));
    for (const auto& problem : core::retry_problems(options.hook_retry))
        check.require(false, "hook_retry." + problem);
}

} // namespace

engine_options checked(engine_options options)
{
    check_ranges(options);
    if (!options.log)
        options.log = [](const log_entry&) {
        };
    options.log = guarded(std::move(options.log));
    options.observer = guarded(std::move(options.observer), options.log);
    const auto suffix =
        options.seed ? static_cast<std::uint32_t>(*options.seed) : std::random_device{}();
    if (options.name.empty())
        options.name = fmt::format("{}-{:08x}", ::getpid(), suffix);
    else if (options.store->shared()) // an engine with the same name may still hold leases
        options.name += fmt::format("-{:08x}", suffix);
    return options;
}

} // namespace pawl::engine_detail
