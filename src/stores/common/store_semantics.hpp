#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The decisions that every store makes alike. None of them looks anything up.
namespace pawl::core {

/// An event without what its run and its place in the log say already.
struct event_entry {
    event_kind kind = event_kind::started;
    std::uint64_t version = 0;
    int from = 0;
    int to = 0;
    run_state state = run_state::initiated;
    int attempt = 0;
    std::string error;
    std::string requested_by;
    time_point at;
};

event_entry make_event(const transition& change);

/// Puts the identity back.
event complete_event(const event_entry& entry, std::uint32_t shard, std::uint64_t sequence,
                     const run_id& run, std::string_view workflow, std::string_view foreign_id);

/// The wake-up to store: a run with a message that the transition's maker did not know of is due.
std::optional<time_point> wake_after(const transition& change, std::uint64_t inbox_last) noexcept;

/// The wake-up of a run to which this message was delivered.
time_point wake_after(const message& delivered, std::optional<time_point> wake_at) noexcept;

/// Whether a run with so many pending messages refuses another.
bool is_inbox_full(const delivery& next, std::uint32_t pending) noexcept;

/// Whether a run in this state takes a message of this kind at all.
bool takes(run_state state, message_kind kind) noexcept;

/// Why a run must not start beside the one that was created last; empty when it may.
std::optional<apply_status> start_refusal(id_reuse_policy rule, bool has_unfinished,
                                          bool has_finished) noexcept;

/// What a listing looks for.
bool matches(const record_query& query, const record& run);

/// Whether a list of the query is given and empty.
bool matches_nothing(const record_query& query) noexcept;

/// What a record_page ends with when another page follows.
inline list_position position_of(const record& last) noexcept
{
    return {last.created_at, last.id};
}

/// What is said of messages that were still waiting when their run ended.
inline constexpr std::string_view ended_detail = "the run has finished";

inline constexpr std::uint32_t max_shards = 4096;

/// Of all workflows of a shared store: the position of an event has no room for more.
inline constexpr std::uint32_t max_shards_of_all = 32'768;
inline constexpr std::size_t max_page = 1000;

/// Behind every name that begins so, in the order of bytes.
std::string end_of_prefix(std::string_view prefix);

/// Whether a store has stored nothing of a batch because one of its changes cannot be stored,
/// whenever it is tried: see record_store.
bool is_refusal(const std::exception_ptr& failure) noexcept;

/// Throws definition_error unless `shards` is in its range.
void check_shard_count(std::uint32_t shards);

/// Throws definition_error when it is null.
void check_clock(const std::shared_ptr<clock>& given);

/// Throw error (invalid_argument) when an argument is out of its range.
/// @param first of the workflow, which is new.
/// @param shards of each workflow.
void check_first_shard(std::string_view workflow, std::uint32_t first, std::uint32_t shards);
void check_shard(std::uint32_t shard, std::uint32_t shards);
void check_claim(std::span<const std::uint32_t> wanted, std::string_view owner,
                 std::uint32_t shards);
void check_owner(std::string_view owner);
void check_role(std::string_view role);
void check_topic(std::string_view topic);
void check_query(const record_query& query);
void check_batch(std::span<const change> batch, std::uint32_t shards);

} // namespace pawl::core
