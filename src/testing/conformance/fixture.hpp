#pragma once

#include "core/run_id.hpp"
#include "pawl/error.hpp"
#include "pawl/record_store.hpp"
#include "pawl/testing/store_conformance.hpp"
#include "testing/conformance/expect.hpp"

#include <boost/asio/awaitable.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::testing {

using boost::asio::awaitable;

/// The creation time of the first record. Each further record is created one second later.
inline constexpr time_point beginning{duration{1'700'000'000'123'456}};

/// The store under test, and records for it. Ids and times are the same each time a check runs.
class fixture {
public:
    fixture(std::shared_ptr<record_store> store, std::uint32_t shards);

    record_store& store() noexcept { return *store_; }
    std::uint32_t shards() const noexcept { return shards_; }

    /// The first version of a new run that is due at once.
    record make_run(std::string foreign_id, std::string workflow = "orders");

    /// A foreign id in the given shard, different for each run.
    std::string foreign_id_in(std::uint32_t shard);

    awaitable<std::vector<apply_result>> apply(std::vector<change> batch);
    awaitable<apply_result> apply_one(change only);

    // These fail unless the store accepts every change.
    awaitable<void> accept(std::vector<change> batch);
    awaitable<apply_result> accept_one(change only);

    /// Starts a run and returns its record.
    awaitable<record> started(std::string foreign_id, std::string workflow = "orders");

    /// Reads a record; fails if the store has none.
    awaitable<record> stored(run_id id);

private:
    std::shared_ptr<record_store> store_;
    std::uint32_t shards_;
    std::uint64_t run_count_ = 0;
    core::run_id_generator ids_;
};

transition start_of(const record& first,
                    id_reuse_policy rule = id_reuse_policy::allow_after_finish);

/// The next version: only `version` and `updated_at` differ, and an initiated run is running.
record next_of(const record& current);
transition step_of(const record& next, event_kind kind = event_kind::moved);

/// The next version as a finished run without a wake-up time.
record finish_of(const record& current, run_state state = run_state::completed);

delivery send(const run_id& run, std::string name, time_point sent_at = beginning);

// These fail unless the member, or each of them, has the expected value.
void expect_record(const record& actual, const record& expected, std::string_view subject);
void expect_status(const apply_result& actual, apply_status expected, std::string_view subject);
void expect_statuses(const std::vector<apply_result>& actual, std::vector<apply_status> expected,
                     std::string_view subject);
void expect_wake(const record& actual, std::optional<time_point> expected,
                 std::string_view subject);

/// Fails unless the call throws error (invalid_argument).
template <typename Result>
awaitable<void> expect_refused_argument(awaitable<Result> call, std::string argument)
{
    std::string outcome = "no exception";
    try {
        co_await std::move(call);
    } catch (const error& thrown) {
        if (thrown.code() == errc::invalid_argument)
            co_return;
        outcome = thrown.what();
    }
    fail(fmt::format("{}: expected errc::invalid_argument, got {}", argument, outcome));
}

struct check_entry {
    std::string_view name;
    awaitable<void> (*body)(fixture& test);
    std::uint32_t shards = 1;
};

std::span<const check_entry> record_checks();
std::span<const check_entry> start_checks();
std::span<const check_entry> change_checks();
std::span<const check_entry> child_checks();
std::span<const check_entry> event_checks();
std::span<const check_entry> lease_checks();
std::span<const check_entry> due_checks();
std::span<const check_entry> list_checks();
std::span<const check_entry> inbox_checks();
std::span<const check_entry> settlement_checks();
std::span<const check_entry> removal_checks();
std::span<const check_entry> topic_checks();
std::span<const check_entry> size_checks();
std::span<const check_entry> attribute_checks();

/// Checks that run coroutines on several threads. They drive their contexts themselves.
std::vector<conformance_check> concurrency_checks();

} // namespace pawl::testing
