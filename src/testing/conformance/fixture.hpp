#pragma once

#include "core/run_id.hpp"
#include "pawl/error.hpp"
#include "pawl/record_store.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <boost/asio/awaitable.hpp>

#include <fmt/format.h>

#include <chrono>
#include <concepts>
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

/// When the first record is made; each next one is made a second later.
inline constexpr time_point beginning{duration{1'700'000'000'123'456}};

/// The store under test and what makes records for it. All ids and times are the same in each run
/// of a check.
class fixture {
public:
    fixture(std::shared_ptr<record_store> store, std::uint32_t shards);

    record_store& store() noexcept { return *store_; }
    std::uint32_t shards() const noexcept { return shards_; }

    /// A first record, created a second after the one before. Its run is due at once.
    record make_run(std::string foreign_id, std::string workflow = "orders");

    /// A foreign id of its own for each run, in the given shard.
    std::string foreign_id_in(std::uint32_t shard);

    awaitable<std::vector<apply_result>> apply(std::vector<change> batch);
    awaitable<apply_result> apply_one(change only);

    /// Apply, and fail unless everything is accepted.
    awaitable<void> accept(std::vector<change> batch);
    awaitable<apply_result> accept_one(change only);

    /// Starts a run and returns its record as stored.
    awaitable<record> started(std::string foreign_id, std::string workflow = "orders");

    /// The record as stored; fails when there is none.
    awaitable<record> stored(run_id id);

private:
    std::shared_ptr<record_store> store_;
    std::uint32_t shards_;
    std::uint64_t made_ = 0;
    core::run_id_maker ids_;
};

transition start_of(const record& first,
                    id_reuse_policy rule = id_reuse_policy::allow_after_finish);

/// The next version, with nothing else changed but the time of the last commit.
record next_of(const record& current);
transition step_of(const record& next, event_kind kind = event_kind::moved);

/// The next version as a finished run that waits for nothing.
record finish_of(const record& current, run_state state = run_state::completed);

delivery send(const run_id& run, std::string name, time_point sent_at = beginning);

[[noreturn]] void fail(const std::string& what);
void expect(bool holds, std::string_view what);
void expect_record(const record& got, const record& wanted, std::string_view what);
void expect_status(const apply_result& got, apply_status wanted, std::string_view what);
void expect_wake(const record& got, std::optional<time_point> wanted, std::string_view what);

/// Fails unless `statuses` are what the results say, in order.
void expect_statuses(const std::vector<apply_result>& got, std::vector<apply_status> statuses,
                     std::string_view what);

/// Fails unless the awaitable throws error (invalid_argument).
template <typename Result>
awaitable<void> expect_refused_argument(awaitable<Result> call, std::string what)
{
    bool refused = false;
    try {
        co_await std::move(call);
    } catch (const error& thrown) {
        refused = thrown.code() == errc::invalid_argument;
    }
    expect(refused, what);
}

template <std::integral A, std::integral B>
void expect_number(A got, B wanted, std::string_view what)
{
    if (!std::cmp_equal(got, wanted))
        fail(fmt::format("{}: {} instead of {}", what, got, wanted));
}

/// A check as its author writes it.
struct check_entry {
    std::string_view name;
    awaitable<void> (*body)(fixture& test);
    std::uint32_t shards = 1;
};

std::span<const check_entry> record_checks();
std::span<const check_entry> start_checks();
std::span<const check_entry> change_checks();
std::span<const check_entry> event_checks();
std::span<const check_entry> lease_checks();
std::span<const check_entry> due_checks();
std::span<const check_entry> list_checks();
std::span<const check_entry> inbox_checks();
std::span<const check_entry> settlement_checks();
std::span<const check_entry> removal_checks();
std::span<const check_entry> topic_checks();
std::span<const check_entry> size_checks();

/// Checks that run coroutines on several threads; they drive their contexts themselves.
std::vector<conformance_check> concurrency_checks();

} // namespace pawl::testing
