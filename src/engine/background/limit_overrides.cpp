#include "engine/background/limit_overrides.hpp"

#include "definition/check_definition.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/run_limiter.hpp"
#include "pawl/builder.hpp"
#include "pawl/detail/exception_text.hpp"

#include <cstdint>
#include <optional>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Stored: never change a number, a member's name or what it means.
enum class override_status { in_force = 1, removed = 2 };
BOOST_DESCRIBE_ENUM(override_status, in_force, removed)

struct limit_numbers {
    std::optional<std::int64_t> rate;
    std::int64_t per_microseconds = 0;
    std::optional<std::int64_t> burst;
    std::optional<std::int64_t> concurrency;
};
BOOST_DESCRIBE_STRUCT(limit_numbers, (), (rate, per_microseconds, burst, concurrency))

using override_run = run<limit_numbers>;

step<override_status::in_force> set_numbers(override_run& run, limit_numbers numbers)
{
    run.object() = numbers;
    co_return to<override_status::in_force>;
}

step<override_status::removed> remove_numbers(override_run&)
{
    co_return to<override_status::removed>;
}

/// Empty if the numbers cannot be read.
std::optional<limit_options> numbers_of(engine_parts& shared, const record& run)
{
    try {
        const auto stored = codec<limit_numbers>::decode(run.object);
        const limit_options numbers{stored.rate, duration{stored.per_microseconds}, stored.burst,
                                    stored.concurrency};
        if (const auto problems = core::limit_problems(numbers); !problems.empty())
            throw error{errc::decode_failed, problems.front()};
        return numbers;
    } catch (...) {
        shared.log({log_level::error, "the numbers that were set for the limit \"" +
                                          run.foreign_id + "\" are not in force: " +
                                          detail::exception_text(std::current_exception())});
        return std::nullopt;
    }
}

} // namespace

std::shared_ptr<const detail::workflow_impl> make_limits_workflow()
{
    using enum override_status;
    builder<limit_numbers, override_status> b{std::string{limits_workflow}};
    const retry_policy once{.max_attempts = 1};
    b.callback<in_force>(std::string{set_numbers_callback}, set_numbers).retry(once);
    b.callback<in_force>(std::string{reset_numbers_callback}, remove_numbers).retry(once);
    b.start<in_force>();
    b.end<removed>();
    return std::move(b).build().impl();
}

std::string encode_numbers(const limit_options& numbers)
{
    std::string bytes;
    codec<limit_numbers>::encode(
        {numbers.rate, numbers.per.count(), numbers.burst, numbers.concurrency}, bytes);
    return bytes;
}

asio::awaitable<void> read_limit_numbers(engine_parts& shared)
{
    if (!shared.workflows.contains(limits_workflow))
        co_return;
    const auto ticket = shared.limiter->begin_reading();
    run_limiter::limit_numbers numbers;
    record_query query;
    query.workflow = limits_workflow;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = page_size;
    do {
        const auto page = co_await shared.store.list(query);
        for (const auto& run : page.runs)
            if (const auto set = numbers_of(shared, run))
                numbers.emplace(run.foreign_id, *set);
        query.after = page.next;
    } while (query.after);
    shared.limiter->set_numbers(ticket, numbers);
    shared.active->begin_permitted();
}

} // namespace pawl::engine_detail
