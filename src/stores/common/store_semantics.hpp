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

// The rules that all stores share. They are pure functions.
namespace pawl::core {

/// An event without the identity of its run and without its position in the log.
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

/// Adds the identity and the position.
event complete_event(const event_entry& entry, std::uint32_t shard, std::uint64_t sequence,
                     const run_id& run, std::string_view workflow, std::string_view foreign_id);

/// Whether a transition of a run in the state ends it, and so rejects its pending messages.
bool finishes(const transition& change, run_state before) noexcept;

/// The wake-up time to store. A run is due at once if it has a message that the author of the
/// transition had not seen, unless the transition has rejected it.
/// @param finishes see finishes().
std::optional<time_point> wake_after(const transition& change, std::uint64_t inbox_last,
                                     bool finishes) noexcept;

/// The wake-up time of a run after the delivery of this message.
time_point wake_after(const message& delivered, std::optional<time_point> wake_at) noexcept;

/// Whether a run with `pending` messages rejects another message.
bool is_inbox_full(const delivery& next, std::uint32_t pending) noexcept;

/// Whether a run in this state accepts messages of this kind.
bool accepts_message(run_state state, message_kind kind) noexcept;

/// The reason not to start a run of a foreign id that has runs; empty when it may start.
std::optional<apply_status> start_refusal(id_reuse_policy rule, bool has_unfinished,
                                          bool has_finished) noexcept;

/// Whether a listing includes the run, if its attributes match.
bool matches(const record_query& query, const record& run);

/// Whether a list of the query is present but empty, or its attributes exclude each other.
bool matches_nothing(const record_query& query);

/// record_page::next of a page that ends with this run.
inline list_position position_of(const record& last) noexcept
{
    return {last.created_at, last.id};
}

/// The detail of messages that are pending when their run finishes. Stored: never change.
inline constexpr std::string_view ended_detail = "the run has finished";

inline constexpr std::uint32_t max_shards = 4096;

/// Maximum number of shards of all workflows of a shared store: event positions have no room for
/// more.
inline constexpr std::uint32_t max_shards_of_all = 32'768;
inline constexpr std::size_t max_page = 1000;

/// The least name, in the order of bytes, that is greater than all names with this prefix.
std::string end_of_prefix(std::string_view prefix);

/// Whether the failure means that one change of a batch can never be stored, and that nothing of
/// the batch was stored: see record_store.
bool is_refusal(const std::exception_ptr& failure) noexcept;

/// Throws definition_error unless `shards` is in its range. `options` is the name of the type.
void check_shard_count(const std::string& options, std::uint32_t shards);

/// Throws definition_error when `given` is null.
void check_clock(const std::string& options, const std::shared_ptr<clock>& given);

/// Throw error (invalid_argument) when an argument is out of its range.
/// @param first first shard of the new workflow.
/// @param shards number of shards of each workflow.
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
