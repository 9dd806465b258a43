#pragma once

#include "pawl/record_store.hpp"
#include "stores/sqlite/connection.hpp"
#include "stores/sqlite/database_file.hpp"
#include "stores/sqlite/known_runs.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace pawl::sqlite {

/// Everything that changes a database. Used by one thread at a time. When another program has
/// written to the file, the next transaction reads again what is remembered of it here.
class writer {
public:
    /// Ends the leases of the process before. `file` is null in memory.
    writer(connection& database, database_file* file);

    std::uint32_t shards() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }

    std::vector<apply_result> apply(std::span<const change> batch);

    /// The work of a program, then `complete(made)`, then `made`: all of it is stored, or nothing.
    apply_result apply_in(const std::function<void(sqlite3*)>& work, transition& made,
                          const std::function<void(transition&)>& complete);

    /// What a program does to its own tables when the database is opened.
    void prepare(const std::function<void(sqlite3*)>& work);
    std::vector<lease> claim(std::span<const std::uint32_t> wanted, std::string_view owner);
    void release(std::span<const lease> held);
    std::optional<role_lease> claim_role(std::string_view role, std::string_view owner,
                                         time_point now, time_point until);
    void release_role(const role_lease& held);
    std::vector<lease> leases();
    std::vector<role_lease> roles(std::string_view prefix, time_point now);
    void forget_roles(std::string_view prefix, time_point now);

private:
    /// Those that are in flight should fit: then each is read once, when it comes back to memory.
    static constexpr std::size_t max_known_runs = 32'768;

    /// A row of the table shards, as it will be when the transaction commits.
    struct shard_row {
        std::uint64_t next_sequence = 1;
        std::string owner;
        std::uint64_t epoch = 0;
        bool lapsed = false;  ///< the owner was a process that had the file before
        bool changed = false; ///< next_sequence is not what the file says
    };

    void check_file();
    void load();
    void load_if_changed();
    template <typename Work>
    auto in_transaction(Work work);
    void write_changes();

    std::optional<apply_result> refusal_of_update(const transition& change, const stored_run* run);
    apply_result apply_one(const transition& change);
    apply_result apply_one(const delivery& change);
    apply_result apply_one(const cursor_move& change);
    apply_result apply_one(const removal& change);
    apply_result apply_one(const publication& change);
    apply_result apply_one(const topic_trim& change);
    apply_result create(const transition& change);
    apply_result update(const transition& change, stored_run& run);
    std::optional<apply_result> refusal(const transition& change, std::int64_t workflow);
    /// Null when there is no such run. Good until the next one is looked up.
    stored_run* find(const run_id& id);

    void append_event(const transition& change, std::int64_t row, std::int64_t position,
                      std::int64_t before);
    /// Ends messages and says how many are still pending.
    std::uint32_t settle(const transition& change, const stored_run& run);
    std::optional<apply_result> first_delivery(const delivery& change, std::int64_t run);
    void remove_events(const stored_run& run);
    void forget_texts(const stored_run& run);
    std::int64_t workflow_number(const std::string& name);
    std::uint64_t next_sequence(std::uint32_t shard);
    bool fenced(std::uint32_t shard, std::uint64_t epoch) const noexcept;
    void store_owner(std::uint32_t shard, std::uint64_t epoch);

    connection& database_;
    database_file* const file_;

    // What the file says, plus what the open transaction adds to it. If a transaction fails, or
    // another connection has written, they are read again before the next change.
    bool stale_ = true;
    std::int64_t data_version_ = 0; ///< another one after each commit of another connection
    std::vector<shard_row> shards_;
    known_runs known_{max_known_runs};
    std::unordered_map<std::string, std::int64_t> workflows_;
    std::map<std::tuple<std::int64_t, int, run_state>, std::int64_t> counts_; ///< differences only

    statement read_data_version_;
    statement find_run_;
    statement find_start_key_;
    statement find_unfinished_;
    statement find_latest_;
    statement insert_run_;
    statement update_run_;
    statement update_run_and_wake_;
    statement finish_run_;
    statement insert_event_;
    statement insert_mark_;
    statement insert_workflow_;
    statement update_count_;
    statement update_sequence_;
    statement update_owner_;
    statement find_message_key_;
    statement insert_message_;
    statement deliver_;
    statement deliver_and_wake_;
    statement settle_one_;
    statement free_message_key_;
    statement settle_rest_;
    statement find_cursor_;
    statement move_cursor_;
    statement find_before_;
    statement remove_event_;
    statement forget_error_;
    statement forget_details_;
    statement remove_marks_;
    statement remove_messages_;
    statement remove_run_;
    statement find_topic_;
    statement insert_topic_;
    statement update_topic_;
    statement find_event_id_;
    statement insert_topic_event_;
    statement trim_topic_;
    statement find_role_;
    statement store_role_;
    statement list_roles_;
    statement forget_roles_;
};

template <typename Work>
auto writer::in_transaction(Work work)
{
    check_file();
    transaction writing{database_};
    load_if_changed();
    stale_ = true;
    auto result = work();
    write_changes();
    writing.commit();
    stale_ = false;
    return result;
}

} // namespace pawl::sqlite
