#include "stores/common/store_semantics.hpp"

#include "core/option_check.hpp"
#include "pawl/error.hpp"
#include "stores/common/attribute_ranges.hpp"

#include <algorithm>
#include <utility>

namespace pawl {

std::optional<apply_result> record_store::try_apply(const change&)
{
    return {};
}

std::unique_ptr<store_transaction> record_store::make_transaction(transaction_work work)
{
    throw error{errc::invalid_argument,
                std::holds_alternative<std::function<void(sqlite3*)>>(work)
                    ? "sqlite_transaction: the engine's store is not SQLite"
                    : "postgres_transaction: the engine's store is not PostgreSQL"};
}

std::optional<record> record_store::try_find(run_id)
{
    return {};
}

boost::asio::awaitable<std::vector<std::uint32_t>>
record_store::first_shards(std::vector<std::string> workflows)
{
    co_return std::vector<std::uint32_t>(workflows.size());
}

boost::asio::awaitable<std::optional<time_point>> record_store::now()
{
    co_return std::nullopt;
}

boost::asio::awaitable<applied_batch> record_store::apply_apart(std::span<const change> batch)
{
    applied_batch applied;
    applied.results = co_await apply(batch);
    co_return applied;
}

boost::asio::awaitable<child_counts> record_store::count_children(run_id parent)
{
    child_counts counts;
    record_query query;
    query.parent = parent;
    query.limit = core::max_page;
    do {
        const auto page = co_await list(query);
        for (const auto& child : page.runs)
            ++counts.of(child.state);
        query.after = page.next;
    } while (query.after);
    co_return counts;
}

std::shared_ptr<void> record_store::subscribe(change_handler)
{
    return nullptr;
}

boost::asio::awaitable<std::vector<record>>
record_store::finished_behind(std::uint32_t shard, std::string_view workflow,
                              finished_position after, time_point before, std::size_t limit)
{
    std::vector<record> behind;
    for (std::size_t read = limit;; read *= 2) {
        auto found = co_await finished_before(shard, workflow, before, read);
        const bool all = found.size() < read;
        std::erase_if(found, [&](const record& run) {
            return finished_position{run.updated_at, run.id} <= after;
        });
        if (!all && found.size() < limit)
            continue;
        if (found.size() > limit)
            found.resize(limit);
        behind = std::move(found);
        break;
    }
    co_return behind;
}

boost::asio::awaitable<std::uint64_t> record_store::log_end(std::uint32_t shard)
{
    constexpr std::size_t page_size = 1000;
    std::uint64_t end = 0;
    for (bool more = true; more;) {
        const auto page = co_await events(shard, end, page_size);
        more = page.size() == page_size;
        if (!page.empty())
            end = page.back().sequence;
    }
    co_return end;
}

} // namespace pawl

namespace pawl::core {

namespace {

const std::string& error_of(const transition& change)
{
    static const std::string none;
    switch (change.kind) {
    case event_kind::attempt_failed:
        return change.next.last_error;
    case event_kind::completed:
        return change.next.reason.empty() ? change.next.last_error : change.next.reason;
    case event_kind::paused:
    case event_kind::resumed:
    case event_kind::cancelled:
    case event_kind::data_deletion_requested:
    case event_kind::data_deleted:
    case event_kind::retried:
    case event_kind::moved_by_command:
        return change.next.reason;
    case event_kind::moved: // after exhausted retries
        return change.next.last_error;
    case event_kind::started:
    case event_kind::repeated:
    case event_kind::checkpointed:
    case event_kind::message_deferred:
    case event_kind::attempt_begun:
    case event_kind::parent_notified:
    case event_kind::children_cancelled:
        break;
    case event_kind::message_settled:
        return change.settled.empty() ? none : change.settled.front().detail;
    }
    return none;
}

const std::string& requester_of(const transition& change)
{
    static const std::string nobody;
    switch (change.kind) {
    case event_kind::paused:
    case event_kind::resumed:
    case event_kind::cancelled:
    case event_kind::completed:
    case event_kind::data_deletion_requested:
    case event_kind::retried:
    case event_kind::moved_by_command:
        return change.next.requested_by;
    default:
        return nobody;
    }
}

} // namespace

event_entry make_event(const transition& change)
{
    const record& next = change.next;
    return {change.kind,  next.version,     change.from,          next.status,    next.state,
            next.attempt, error_of(change), requester_of(change), next.updated_at};
}

event complete_event(const event_entry& entry, std::uint32_t shard, std::uint64_t sequence,
                     const run_id& run, std::string_view workflow, std::string_view foreign_id)
{
    event completed;
    completed.shard = shard;
    completed.sequence = sequence;
    completed.kind = entry.kind;
    completed.run = run;
    completed.workflow = workflow;
    completed.foreign_id = foreign_id;
    completed.version = entry.version;
    completed.from = entry.from;
    completed.to = entry.to;
    completed.state = entry.state;
    completed.attempt = entry.attempt;
    completed.error = entry.error;
    completed.requested_by = entry.requested_by;
    completed.at = entry.at;
    return completed;
}

bool finishes(const transition& change, run_state before) noexcept
{
    return is_finished(change.next.state) && !is_finished(before);
}

std::optional<time_point> wake_after(const transition& change, std::uint64_t inbox_last,
                                     bool finishes) noexcept
{
    const record& next = change.next;
    if (change.inbox_seen >= inbox_last || finishes)
        return next.wake_at;
    return std::min(next.wake_at.value_or(time_point::max()), next.updated_at);
}

bool is_inbox_full(const delivery& next, std::uint32_t pending) noexcept
{
    return next.max_pending > 0 && pending >= next.max_pending;
}

time_point wake_after(const message& delivered, std::optional<time_point> wake_at) noexcept
{
    return std::min(wake_at.value_or(time_point::max()), delivered.sent_at);
}

bool accepts_message(run_state state, message_kind kind) noexcept
{
    return !is_finished(state) || kind == message_kind::delete_data;
}

std::optional<apply_status> start_refusal(id_reuse_policy rule, bool has_unfinished,
                                          bool has_finished) noexcept
{
    if (has_unfinished)
        return apply_status::already_running;
    if (has_finished && rule == id_reuse_policy::reject_duplicate)
        return apply_status::already_ran;
    return {};
}

std::string end_of_prefix(std::string_view prefix)
{
    std::string end{prefix.substr(0, prefix.find_last_not_of('\xff') + 1)};
    if (end.empty())
        return std::string(64, '\xff'); // no text has the byte 0xff
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

bool is_refusal(const std::exception_ptr& failure) noexcept
{
    try {
        std::rethrow_exception(failure);
    } catch (const error& refused) {
        return refused.code() == errc::invalid_argument || refused.code() == errc::too_large;
    } catch (...) {
        return false;
    }
}

void check_shard_count(const std::string& options, std::uint32_t shards)
{
    const auto owner = options + "::";
    option_check{owner}.within("shards", shards, 1, max_shards);
}

void check_clock(const std::string& options, const std::shared_ptr<clock>& given)
{
    if (!given)
        throw definition_error{options + "::clock must not be null: leave the default for the "
                                         "machine's clocks"};
}

void check_first_shard(std::string_view workflow, std::uint32_t first, std::uint32_t shards)
{
    if (first > max_shards_of_all - shards)
        throw error{errc::invalid_argument,
                    "workflow \"" + std::string{workflow} + "\" gets no shards: the store has " +
                        std::to_string(first / shards) + " workflows of " + std::to_string(shards) +
                        " shards each, and at most " + std::to_string(max_shards_of_all) +
                        " in all: create a store with fewer shards per workflow"};
}

void check_shard(std::uint32_t shard, std::uint32_t shards)
{
    if (shard >= shards)
        throw error{errc::invalid_argument, "shard is " + std::to_string(shard) +
                                                "; it must be less than " + std::to_string(shards)};
}

void check_claim(std::span<const std::uint32_t> wanted, std::string_view owner,
                 std::uint32_t shards)
{
    for (const auto shard : wanted)
        check_shard(shard, shards);
    check_owner(owner);
}

void check_owner(std::string_view owner)
{
    if (owner.empty())
        throw error{errc::invalid_argument, "the name of an owner is empty"};
}

void check_role(std::string_view role)
{
    if (role.empty())
        throw error{errc::invalid_argument, "the name of a role is empty"};
}

void check_topic(std::string_view topic)
{
    if (topic.empty())
        throw error{errc::invalid_argument, "the name of a topic is empty"};
}

bool matches(const record_query& query, const record& run)
{
    const auto allows = [](const auto& wanted, const auto& value) {
        return !wanted || std::ranges::find(*wanted, value) != wanted->end();
    };
    return (query.workflow.empty() || query.workflow == run.workflow) &&
           (!query.parent || (run.parent && run.parent->run == *query.parent)) &&
           allows(query.statuses, run.status) && allows(query.states, run.state) &&
           allows(query.foreign_ids, run.foreign_id) &&
           (!query.created_from || *query.created_from <= run.created_at) &&
           (!query.created_to || run.created_at < *query.created_to) &&
           (!query.updated_from || *query.updated_from <= run.updated_at) &&
           (!query.updated_to || run.updated_at < *query.updated_to) &&
           (!query.has_error || *query.has_error != run.last_error.empty()) &&
           run.last_error.find(query.error_text) != std::string::npos;
}

void check_query(const record_query& query)
{
    if (query.limit == 0 || query.limit > max_page)
        throw error{errc::invalid_argument,
                    "record_query::limit is " + std::to_string(query.limit) +
                        "; it must be from 1 to " + std::to_string(max_page)};
    const auto check_size = [](const char* name, const auto& values) {
        if (values && values->size() > max_page)
            throw error{errc::invalid_argument, std::string{"record_query::"} + name + " has " +
                                                    std::to_string(values->size()) +
                                                    " values; at most " + std::to_string(max_page) +
                                                    " are allowed"};
    };
    check_attribute_filters(query);
    check_size("foreign_ids", query.foreign_ids);
    check_size("statuses", query.statuses);
    check_size("states", query.states);
}

bool matches_nothing(const record_query& query)
{
    const auto is_empty = [](const auto& values) {
        return values && values->empty();
    };
    return is_empty(query.foreign_ids) || is_empty(query.statuses) || is_empty(query.states) ||
           std::ranges::any_of(attribute_ranges(query), &attribute_range::is_empty);
}

void check_batch(std::span<const change> batch, std::uint32_t shards)
{
    for (const change& next : batch) {
        if (const auto* move = std::get_if<cursor_move>(&next)) {
            check_shard(move->shard, shards);
        } else if (const auto* step = std::get_if<transition>(&next)) {
            if (!step->next.id)
                throw error{errc::invalid_argument, "a transition without a run id"};
            if (step->next.version != step->expected_version + 1)
                throw error{errc::invalid_argument,
                            "version " + std::to_string(step->next.version) + " cannot follow " +
                                std::to_string(step->expected_version)};
            for (const settlement& end : step->settled)
                if (end.outcome == message_outcome::pending)
                    throw error{errc::invalid_argument, "a settlement whose outcome is pending"};
            check_attributes(step->attributes);
        } else if (const auto* event = std::get_if<publication>(&next)) {
            check_topic(event->topic);
        } else if (const auto* update = std::get_if<attribute_update>(&next)) {
            check_attributes(update->attributes);
        }
    }
}

} // namespace pawl::core
