#pragma once

#include "engine/operations/run_lister.hpp"
#include "pawl/bulk.hpp"

#include <boost/describe.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::engine_detail {

// What the run of a bulk change stores. Stored: never change a member's name or meaning.

struct stored_attribute_filter {
    std::string name;
    int comparison = 0;
    std::optional<std::string> text; // one of the four has the value
    std::optional<std::int64_t> integer;
    std::optional<bool> boolean;
    std::optional<time_point> time;
};
BOOST_DESCRIBE_STRUCT(stored_attribute_filter, (), (name, comparison, text, integer, boolean, time))

struct stored_filter {
    std::string workflow;
    std::optional<std::vector<int>> statuses;
    std::optional<std::vector<int>> states;
    std::optional<std::vector<std::string>> foreign_ids;
    std::optional<std::string> parent;
    std::vector<stored_attribute_filter> attributes;
    std::optional<time_point> created_from;
    std::optional<time_point> created_to;
    std::optional<time_point> updated_from;
    std::optional<time_point> updated_to;
    std::string error_text;
    std::optional<std::string> attention;
    std::int64_t overdue_by_microseconds = 0;
    bool oldest_first = false;
};
BOOST_DESCRIBE_STRUCT(stored_filter, (),
                      (workflow, statuses, states, foreign_ids, parent, attributes, created_from,
                       created_to, updated_from, updated_to, error_text, attention,
                       overdue_by_microseconds, oldest_first))

/// A run that matched when its page was read.
struct bulk_target {
    std::string run;
    std::uint64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(bulk_target, (), (run, version))

struct stored_refusals {
    int code = 0; ///< an errc
    std::uint64_t runs = 0;
};
BOOST_DESCRIBE_STRUCT(stored_refusals, (), (code, runs))

struct stored_problem {
    std::string run, workflow, foreign_id;
    int code = 0; ///< an errc; 0: pending
    std::string detail;
};
BOOST_DESCRIBE_STRUCT(stored_problem, (), (run, workflow, foreign_id, code, detail))

struct bulk_state {
    std::string action;
    stored_filter filter;
    std::optional<int> status; ///< of a move
    std::string status_text;   ///< of a move, as it was given
    std::string requester, method, address, reason, audit_id;
    time_point started_at;

    std::vector<bulk_target> page; ///< the runs that are to be changed next
    std::string next;              ///< where the page after that begins
    bool is_searched = false;      ///< there is no page after that
    std::optional<time_point> searched_to;
    std::uint64_t examined = 0;
    std::uint64_t selected = 0;
    std::uint64_t done = 0;
    std::uint64_t passed_over = 0;
    std::uint64_t pending = 0;
    std::vector<stored_refusals> refused;
    std::vector<stored_problem> problems;
};
BOOST_DESCRIBE_STRUCT(bulk_state, (),
                      (action, filter, status, status_text, requester, method, address, reason,
                       audit_id, started_at, page, next, is_searched, searched_to, examined,
                       selected, done, passed_over, pending, refused, problems))

/// The filter of a search, with the statuses as numbers.
stored_filter store_filter(const list_search& search);

/// The search of the next page. Without shards, which the search of overdue runs needs.
list_search search_of(const bulk_state& state);

/// Counts a run that was not changed, and names it if there is room.
/// @param code empty: the command is pending.
void add_problem(bulk_state& state, const record& run, error_code code, std::string detail);

std::string encode_bulk(const bulk_state& state);

/// The bulk change of a run of "pawl.bulk". Throws error (decode_failed).
bulk_view read_bulk(const record& run);

/// The numbers in words, for the audit log.
std::string summary_of(const bulk_state& state);

} // namespace pawl::engine_detail
