#pragma once

#include "pawl/record_store.hpp"
#include "stores/sqlite/connection.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pawl::sqlite {

/// The reading operations of a database. Used by one thread at a time; each call sees all earlier
/// commits.
class reader {
public:
    reader(connection& database, std::uint32_t shards);

    std::optional<record> find(run_id id);
    std::optional<record> latest(std::string_view workflow, std::string_view foreign_id);
    record_page list(const record_query& query);
    std::vector<status_count> count(std::string_view workflow, bool unfinished_only);
    child_counts count_children(run_id parent);
    std::vector<record> finished_before(std::uint32_t shard, std::string_view workflow,
                                        time_point before, std::size_t limit);
    std::vector<record> finished_behind(std::uint32_t shard, std::string_view workflow,
                                        const finished_position& after, time_point before,
                                        std::size_t limit);
    std::uint64_t log_end(std::uint32_t shard);
    due_page due(std::uint32_t shard, const due_position& from, time_point until,
                 std::size_t limit);
    std::vector<event> events(std::uint32_t shard, std::uint64_t after, std::size_t limit);
    std::vector<event> history(run_id run, std::uint64_t after, std::size_t limit);
    std::vector<message> inbox(run_id run, std::uint64_t after, std::size_t limit);
    std::optional<settlement> outcome(run_id run, std::uint64_t sequence);
    std::uint64_t cursor(std::string_view name, std::uint32_t shard);
    std::vector<stream_event> topic_events(std::string_view topic, std::uint64_t after,
                                           std::size_t limit);
    std::uint64_t topic_end(std::string_view topic);

private:
    connection& database_;
    const std::uint32_t shards_;
    statement find_;
    statement latest_;
    statement unfinished_;
    statement count_;
    statement count_children_;
    statement due_;
    statement events_;
    statement event_;
    statement mark_;
    statement newest_event_;
    statement inbox_;
    statement outcome_;
    statement cursor_;
    statement finished_behind_;
    statement log_end_;
    statement topic_events_;
    statement topic_end_;
};

} // namespace pawl::sqlite
