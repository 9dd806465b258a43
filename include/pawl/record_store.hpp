#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "pawl/store_transaction.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/awaitable.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pawl {

class request_queue;

namespace streams {
class topic_waiters;
} // namespace streams

/// Which earlier runs of a foreign id reject a start. The policy of the new start decides, not the
/// policies of the earlier ones.
enum class id_reuse_policy : std::uint8_t {
    allow_after_finish, ///< an unfinished run of the foreign id rejects the start
    reject_duplicate,   ///< any run of the foreign id rejects the start, finished or not
};

/// Creates a run, or stores its next version; appends one event, and settles messages.
///
/// A creation (`expected_version` is 0) is decided in this order:
///
/// 1. `fenced`: `epoch` is neither 0 nor the epoch of the run's shard.
/// 2. `duplicate`: a run of the same workflow and foreign id has the same start key, and the key is
///    not empty. `existing` names that run, which may have finished.
/// 3. `conflict`: a run has this id.
/// 4. `already_running`: a run of the same workflow and foreign id is unfinished, see
///    is_finished(). It is `existing`. A `next` that has finished is rejected too.
/// 5. `already_ran`: `start` is reject_duplicate and the foreign id has a finished run. `existing`
///    is the run that record_store::latest() returns.
/// 6. `accepted`.
///
/// A later version is decided in this order: `not_found` (no run has the id of `next`), `fenced`,
/// `conflict` (the stored version is not `expected_version`), `accepted`. A finished run takes
/// transitions as well: its data is deleted by them.
///
/// A rejected transition changes nothing. An accepted one does all of the following.
///
/// **Record.** `next` replaces the record, but for three fields that the store computes:
/// - `inbox_last` and `inbox_pending` are the store's own counts, whatever `next` says; both are 0
///   for a new run.
/// - `wake_at` is `next.wake_at`, also for a finished run. But if `inbox_seen` is less than the
///   run's `inbox_last` and the transition does not finish the run, then it is `next.updated_at`,
///   or `next.wake_at` if that is earlier: a message came that the transition did not know of, so
///   the run stays due.
///
/// **Messages.** Each entry of `settled` settles the pending message of its sequence. An entry
/// changes nothing if there is no such message or if it has been settled: the first outcome stays.
/// Then, if the transition finishes the run (`next` has finished, and the stored run has not), the
/// store settles all messages that are still pending as `rejected` with the detail "the run has
/// finished". These are messages of every kind, including those after `inbox_seen` and those that
/// earlier changes of the batch delivered. A transition of a run that had finished before settles
/// only what `settled` names: the run may have a command to delete its data. The key of a message
/// that is settled as `failed` may be used again, see delivery. The payload of a settled message is
/// not read again; drop it.
///
/// **Event.** The event gets the next sequence of the run's shard and is made of the transition:
/// - `kind` and `from` are the transition's, `to` is `next.status`, `at` is `next.updated_at`;
///   `run`, `workflow`, `foreign_id`, `version`, `state` and `attempt` are those of `next`.
/// - `error` depends on the kind. moved, attempt_failed: `next.last_error`. completed:
///   `next.reason`, or `next.last_error` if the reason is empty. paused, resumed, cancelled,
///   data_deletion_requested, data_deleted, retried, moved_by_command: `next.reason`.
///   message_settled: the detail of the first entry of `settled`. All other kinds: empty.
/// - `requested_by` is `next.requested_by` for paused, resumed, cancelled, completed,
///   data_deletion_requested, retried and moved_by_command, and empty for all other kinds.
///
/// **Attributes.** The store makes `attributes` changes to the attributes of the run, by which
/// record_query::attributes finds it. record::attributes is a field like the others: the store does
/// not interpret it.
///
/// **Deleted data.** A transition of kind data_deleted also empties the texts of the run that may
/// quote its data: the `error` of its earlier events, except those of kind data_deletion_requested,
/// and the `detail` of its settled messages. The texts of other runs, and all other fields, stay.
struct transition {
    /// `next.version` is `expected_version + 1`. Id, workflow, foreign id, start key, trace parent,
    /// parent and creation time of a run never change.
    record next;

    /// The version that `next` was made from; 0 creates the run.
    std::uint64_t expected_version = 0;

    event_kind kind = event_kind::started;
    int from = 0; ///< the status before the transition

    /// The run state before the transition, for observers; not stored. Of a creation: initiated.
    run_state state_before = run_state::initiated;

    /// Of a creation; ignored otherwise.
    id_reuse_policy start = id_reuse_policy::allow_after_finish;

    std::vector<settlement> settled; ///< messages that the transition settles; none as `pending`

    /// What changes of the run's attributes; usually nothing.
    attribute_changes attributes;

    /// Sequence of the newest message that the engine knew of when it made the transition. May be
    /// greater than the newest one that is stored.
    std::uint64_t inbox_seen = 0;

    /// Epoch of the lease under which the transition was made; 0: not checked, as when a client
    /// creates a run.
    std::uint64_t epoch = 0;
};

/// Stores a message in the inbox of a run and makes the run due.
///
/// Decided in this order:
///
/// 1. `not_found`: no run has the id `content.run`.
/// 2. `duplicate`: a message of the run has the same name and the same key, the key is not empty,
///    and that message was not settled as `failed`; there is at most one such message. `sequence`,
///    `outcome` and `detail` are those of that message, `existing` is its run. This result comes
///    first even if the run has finished or its inbox is full.
/// 3. `finished`: the run has finished, and the message is not of kind delete_data.
/// 4. `inbox_full`: the run has `max_pending` pending messages or more.
/// 5. `accepted`.
///
/// An accepted message gets the sequence `inbox_last + 1` and is pending. `inbox_last` and
/// `inbox_pending` of the record grow by one, and `wake_at` becomes `content.sent_at`, unless it is
/// earlier already; of a finished run too. Version, `updated_at` and all other fields of the record
/// stay, and the log gets no event.
struct delivery {
    message content; ///< its `sequence` is ignored

    /// 0: no limit. Messages of one run may be delivered with different limits.
    std::uint32_t max_pending = 0;
};

/// Moves a named cursor of a shard forward. Each pair of name and shard is a cursor of its own; it
/// need not have been stored before.
///
/// `fenced` if `epoch` is neither 0 nor the shard's; else `accepted`. A cursor never moves back: a
/// smaller position is accepted and changes nothing. A position may be greater than the end of the
/// log. But a store whose database may go back to an earlier state, after a failover or a restore,
/// rejects as `fenced` a position greater than the next sequence of the shard when `epoch` is not 0
/// or the name begins with "events/": the consumer has read events that are gone.
struct cursor_move {
    std::string name;
    std::uint32_t shard = 0;
    std::uint64_t position = 0; ///< of the next event to read; the store does not interpret it
    std::uint64_t epoch = 0;    ///< of the shard's lease; 0: not checked
};

/// Removes a finished run with its events, messages, attributes and start key, as if it had never
/// existed: its id, foreign id and start key are free, also for id_reuse_policy::reject_duplicate.
///
/// Decided in this order: `not_found`, `fenced`, `conflict` (the stored version is not
/// `expected_version`), `already_running` (the run has not finished), `accepted`. Sequences of
/// removed events are never given again.
struct removal {
    run_id run;
    std::uint64_t expected_version = 0;
    std::uint64_t epoch = 0; ///< of the shard's lease; 0: not checked
};

/// Appends an event to a topic. The topic exists from its first event on.
///
/// `duplicate` if the topic has an event with the same id and the id is not empty; else `accepted`.
/// Both results have the event's position in `sequence`. The first position of a topic is 1, each
/// next one is greater by one, and a duplicate takes none.
struct publication {
    std::string topic;    ///< not empty
    stream_event content; ///< its `position` is ignored
};

/// Removes the events of a topic up to and including a position. Always `accepted`, also for an
/// unknown topic. Their ids are free for the changes that follow; their positions are never given
/// again.
struct topic_trim {
    std::string topic;
    std::uint64_t up_to = 0; ///< may be greater than the last position
};

/// Changes the attributes of a run by which record_query::attributes finds it, finished runs
/// included. Nothing else changes: neither the record, with its version and its own list of
/// attributes, nor the log; the owner of the run's shard is not notified.
///
/// Decided in this order: `not_found`, `conflict` (the stored version is not `expected_version`),
/// `accepted`. So values that were computed from a record never replace those of a later version.
struct attribute_update {
    run_id run;
    std::uint64_t expected_version = 0;
    attribute_changes attributes;
};

using change = std::variant<transition, delivery, cursor_move, removal, publication, topic_trim,
                            attribute_update>;

/// What became of a change. The order in which a change is checked stands with its type.
enum class apply_status : std::uint8_t {
    accepted,        ///< stored
    duplicate,       ///< creation, delivery, publication: its key or id was stored before
    conflict,        ///< transition, removal, attribute update: another version is stored;
                     ///< creation: the id is taken
    already_running, ///< creation: the foreign id has an unfinished run; removal: it is unfinished
    already_ran,     ///< creation with reject_duplicate: the foreign id has a finished run
    finished,        ///< delivery: the run has finished
    fenced,          ///< transition, cursor move, removal: the epoch is not that of the shard
    not_found,       ///< transition, delivery, removal, attribute update: no run has this id
    inbox_full,      ///< delivery: the run has delivery::max_pending pending messages or more
};

struct apply_result {
    apply_status status = apply_status::accepted;

    /// Of an accepted transition: sequence of its event. Of a delivery: sequence of its message. Of
    /// a publication: position of its event. Of a duplicate delivery or publication: those of the
    /// first one.
    std::uint64_t sequence = 0;

    /// Of duplicate, already_running and already_ran: the run that is there; of a duplicate
    /// delivery: the message's run. Empty otherwise.
    run_id existing;

    /// Of a duplicate delivery: what became of the first message.
    message_outcome outcome = message_outcome::pending;
    std::string detail;
};

/// The result of a change that record_store::apply_apart() had not decided when it completed.
struct late_result {
    std::size_t index = 0;      ///< of the change in its batch
    apply_result result;        ///< valid if `failure` is null
    std::exception_ptr failure; ///< set: what the store threw for this change alone
};

/// The changes of a batch that wait for a lock after record_store::apply_apart() has completed.
class waiting_changes {
public:
    virtual ~waiting_changes() = default;

    /// Completes with the results of one or more of the changes as soon as they are decided; with
    /// none when all have been given. One call at a time.
    virtual boost::asio::awaitable<std::vector<late_result>> next() = 0;
};

struct applied_batch {
    /// One for each change, in the order of the batch; those of the changes in `waiting` are
    /// placeholders.
    std::vector<apply_result> results;

    std::vector<std::size_t> waiting;         ///< indexes of the changes that wait, ascending
    std::shared_ptr<waiting_changes> pending; ///< null if and only if `waiting` is empty
};

/// A position in the order of due runs: by wake time, then by id.
struct due_position {
    time_point at = time_point::min();
    run_id id;

    friend auto operator<=>(const due_position&, const due_position&) = default;
};

/// A position in the order of finished runs: by the time of their last commit, then by id.
struct finished_position {
    time_point at = time_point::min();
    run_id id;

    friend auto operator<=>(const finished_position&, const finished_position&) = default;
};

struct due_page {
    std::vector<record> runs; ///< in the order of (wake_at, id)

    /// Position of the first run after `runs` in that order, whether it is due or not; empty if
    /// there is none. The next page begins there. If `runs` is empty, for example because the limit
    /// is 0, it is the position of the first run at or after the beginning of the page.
    std::optional<due_position> next;
};

enum class sort_order : std::uint8_t { oldest_first, newest_first };

/// A position in the order of creation, (created_at, id). It stays valid when its run is removed.
struct list_position {
    time_point created_at;
    run_id run;

    /// False for the default-constructed position, which is the beginning.
    explicit operator bool() const noexcept { return static_cast<bool>(run); }

    friend auto operator<=>(const list_position&, const list_position&) = default;
};

/// Text of digits, letters and '-', for links and files; parse_list_position() reads it.
std::string to_string(const list_position& position);

/// Empty if `text` was not written by to_string().
std::optional<list_position> parse_list_position(std::string_view text) noexcept;

/// What record_store::list() looks for: runs that match all of the filters.
///
/// An empty text and an optional without a value are no filter. A list that is given and empty
/// matches no run: what a program computed as "none of these" must not become "all". A list has at
/// most 1,000 values.
struct record_query {
    std::string workflow;
    std::optional<run_id> parent; ///< only children of this run, see run::start()
    std::optional<std::vector<std::string>> foreign_ids;
    std::optional<std::vector<int>> statuses;
    std::optional<std::vector<run_state>> states;
    std::optional<time_point> created_from; ///< inclusive
    std::optional<time_point> created_to;   ///< exclusive
    std::optional<time_point> updated_from; ///< of record::updated_at; inclusive
    std::optional<time_point> updated_to;   ///< of record::updated_at; exclusive
    std::optional<bool> has_error;          ///< whether record::last_error is not empty

    /// Part of record::last_error, compared byte by byte: case counts, no character is a wildcard.
    std::string error_text;

    /// Conditions on the attributes of the runs, all of which must hold; at most 16. A run without
    /// the attribute does not match. They need `workflow`.
    ///
    /// The first one that compares with `equal` is searched in the index, in the order of the
    /// listing: a page reads as many runs as it has, and those that other filters exclude. If there
    /// is none, the runs in the range of the first attribute are sorted. Put the most selective
    /// condition first. With `foreign_ids` or `parent`, the runs of these are searched instead.
    std::vector<attribute_filter> attributes;

    sort_order order = sort_order::oldest_first; ///< by (created_at, id); newest_first: backwards
    std::size_t limit = 25;                      ///< of runs in the page; 1 to 1,000
    list_position after; ///< `next` of the page before; default: the first page
};

struct record_page {
    std::vector<record> runs;

    /// Position of the last of `runs` if more runs match, else the default-constructed position. It
    /// is record_query::after for the next page, also if that run has been removed meanwhile.
    list_position next;
};

/// The number of runs in one status and run state of a workflow.
struct status_count {
    std::string workflow;
    int status = 0;
    run_state state = run_state::initiated;
    std::uint64_t runs = 0; ///< above 0
};

/// The number of children of a run by run state.
struct child_counts {
    std::array<std::uint64_t, 8> by_state{}; ///< by the number of the run_state

    std::uint64_t& of(run_state state) { return by_state.at(static_cast<std::size_t>(state)); }
    std::uint64_t of(run_state state) const { return by_state.at(static_cast<std::size_t>(state)); }

    /// Children that have not finished, see is_finished().
    std::uint64_t unfinished() const
    {
        return of(run_state::initiated) + of(run_state::running) + of(run_state::paused);
    }

    std::uint64_t all() const
    {
        std::uint64_t sum = 0;
        for (const auto runs : by_state)
            sum += runs;
        return sum;
    }

    friend bool operator==(const child_counts&, const child_counts&) = default;
};

/// Ownership of a named role, by one of many processes, until a time.
struct role_lease {
    std::string role;
    std::uint64_t epoch = 0; ///< fencing token: grows with each new holder; the first is above 0
    std::string owner;
    time_point until; ///< on the store's clock
};

/// An engine's ownership of a shard until a time.
struct lease {
    std::uint32_t shard = 0;
    std::uint64_t epoch = 0; ///< fencing token: grows with each new owner; 0 before the first claim
    std::string owner;       ///< empty: the shard is free
    time_point until;        ///< on the store's clock; max() while held in a store not shared
};

/// Notification that something was committed in a shard, by any process.
struct shard_change {
    std::uint32_t shard = 0;

    /// The earliest `wake_at` that deliveries, and transitions without an epoch, have stored in the
    /// shard since its last notification; empty: none. The shard's owner did not make these changes
    /// and does not know of them.
    std::optional<time_point> due;
};

using change_handler = std::function<void(std::span<const shard_change>)>;

/// Where runs, messages, events, leases, roles, topics and cursors are stored: an extension point
/// that you may implement. Memory, SQLite and PostgreSQL are implementations.
///
/// A minimal store overrides the pure virtual functions and is not shared. A shared one, which the
/// engines of several processes use, also overrides first_shards(), now() and subscribe(). The
/// conformance suite pawl::testing::store_conformance_checks() checks these rules:
///
/// - A change is decided by the state before it, earlier changes of its batch included. A rejected
///   change leaves nothing behind. A read that begins after a change was accepted sees it.
/// - A run's shard follows from its workflow and foreign id, see shards(), and never changes. The
///   events of a shard have the sequences 1, 2, 3, … in the order in which their changes were
///   accepted.
/// - An epoch is valid if it equals the epoch of the shard's lease. It stays valid after the lease
///   has lapsed or was released, until a claim gives the shard a greater epoch. In a shard that was
///   never claimed no epoch but 0 is valid.
/// - Each run and message comes back as it was given, but for the fields that the store computes.
///   Texts are bytes: NUL and what is not UTF-8 are allowed, and names, ids and keys are compared
///   exactly. A store takes at least objects, effects and payloads of 1 MiB, names, foreign ids,
///   keys and texts of attributes of 1,024 bytes, and every value of a number or time:
///   time_point::min() and max() too.
/// - A store that outlives its process has everything again when its database is opened: sequences,
///   positions and epochs continue.
/// - Times in records, messages and events come from the changes. A store reads its clock for
///   leases only.
/// - Ids are ordered by their bytes.
/// - What is unknown is empty, not an error: a run, workflow, foreign id, message or topic that
///   does not exist gives no value or an empty list, a cursor that was never moved is at 0. The
///   same holds for a `limit` of 0, except that of list(), and for a position behind the last one.
///
/// Completes: on the caller's executor, from whichever executor a function is called. A store that
/// does its work elsewhere keeps the caller's executor busy until then.
///
/// Errors: an awaitable throws pawl::error.
/// - invalid_argument: an argument is out of its range: a shard that does not exist, an empty name
///   of a topic, role, owner or attribute, a query's limit. Of a batch: a transition without a run
///   id or whose `next.version` is not `expected_version + 1`, a settlement as `pending`, a start
///   in a workflow for which no shards are left. Nothing of the batch was stored, nor will be.
/// - too_large: a change is larger than the backend takes. Nothing of the batch was stored, nor
///   will be.
/// - `store_*`: the backend failed. The changes of a batch may have been stored; read to find out.
///
/// After invalid_argument and too_large an engine divides its batch, so that only the change at
/// fault fails. An engine treats an exception that is not a pawl::error
/// as store_unavailable, and reports it to a caller as unexpected_exception.
///
/// Cancellation: none. A call that has begun completes, so that its result is known.
///
/// Lifetime: the caller keeps arguments that are references, spans or views valid until the call
/// completes. The store outlives its calls. Records that were returned are copies.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class record_store {
public:
    virtual ~record_store() = default;

    /// The number of shards of a workflow, fixed when the database is created. 1 to 4,096.
    ///
    /// A run is in the shard `first + shard_of(foreign_id, shards())`, where `first` is the first
    /// shard of the workflow shard_home(workflow, foreign_id), see first_shards().
    virtual std::uint32_t shards() const noexcept = 0;

    /// Whether several processes may use the database at the same time. If not, leases of shards
    /// never lapse, and opening the database ends those of the process before.
    virtual bool shared() const noexcept = 0;

    /// Gives each of these workflows its first shard, in the order of the names; a name may come
    /// twice.
    ///
    /// In a store that is not shared all workflows have the shards from 0 on. In a shared store
    /// each workflow has shards() shards of its own, so that engines can own the shards of their
    /// workflows alone: the first workflow from 0 on, each next one behind those before it, at most
    /// 32,768 in all. A workflow that is new to the store gets its shards here, or when its first
    /// run is created, and keeps them forever. The shards of the first workflow exist before that:
    /// they can be claimed and read in a new store.
    ///
    /// Errors: invalid_argument — no shards are left for a new workflow; nothing changes.
    ///
    /// Default, for stores that are not shared: 0 for each name.
    virtual boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows);

    /// The time on the store's own clock, by which leases lapse. Engines of a shared store take
    /// their time from it, so that the clocks of their machines need not agree. A later call does
    /// not give an earlier time, unless that clock is set back.
    ///
    /// Default, for stores that are not shared: empty; the engine uses its own clock.
    virtual boost::asio::awaitable<std::optional<time_point>> now();

    /// Stores a batch in one transaction. The changes are decided one after the other, in their
    /// order; each is accepted or rejected on its own.
    ///
    /// Completes: when the accepted changes are durable, with one result for each change, in the
    /// order of the batch. An empty batch has no results.
    ///
    /// Durability: as the options of the backend promise.
    virtual boost::asio::awaitable<std::vector<apply_result>>
    apply(std::span<const change> batch) = 0;

    /// Stores a batch, as apply() does, but possibly in several transactions. Engines call this
    /// function.
    ///
    /// A change whose shard or topic is locked by another session waits. A change that waits longer
    /// than the store's options allow fails alone. A publication is stored in one transaction with
    /// the change before it. Changes of one shard are stored in the order in which they were given,
    /// those of later batches too.
    ///
    /// Completes: when all changes that need not wait are durable.
    ///
    /// Default: apply(); no change waits.
    virtual boost::asio::awaitable<applied_batch> apply_apart(std::span<const change> batch);

    /// Applies one change at once, as apply() would, in the calling thread: for stores that need no
    /// I/O. Takes some microseconds and does not block. Throws what apply() throws.
    ///
    /// An engine that gets a result collects no batches, so that a run goes through its steps while
    /// its data is in the processor's cache. A store gives a result at each call or at none.
    ///
    /// Default: empty; an engine calls apply_apart().
    virtual std::optional<apply_result> try_apply(const change& item);

    /// Makes a transaction in which a program does `work` and the store stores one transition.
    ///
    /// Errors: throws error (invalid_argument) if the work is for another kind of database.
    ///
    /// Default: throws that error.
    virtual std::unique_ptr<store_transaction> make_transaction(transaction_work work);

    /// The record of a run.
    virtual boost::asio::awaitable<std::optional<record>> find(run_id id) = 0;

    /// The record of a run, at once, in the calling thread: for stores that implement try_apply().
    /// Not called if the store is shared.
    ///
    /// Default: empty; the caller asks find().
    virtual std::optional<record> try_find(run_id id);

    /// The unfinished run of this foreign id, of which there is at most one. If there is none: its
    /// run with the greatest (created_at, id).
    virtual boost::asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                                 std::string_view foreign_id) = 0;

    /// A page of the runs that match the query, in its order. A reader that follows
    /// record_page::next sees each run exactly once that exists and matches all the time, whatever
    /// others write.
    ///
    /// Errors: invalid_argument — the limit is not from 1 to 1,000, or a list has more than 1,000
    /// values; there are more than 16 conditions on attributes, or they come without a workflow, or
    /// one of them asks for the order of texts or booleans.
    virtual boost::asio::awaitable<record_page> list(const record_query& query) = 0;

    /// The number of runs by status and run state, of one workflow, or of all if the name is empty.
    /// In any order; a combination without runs is left out. With `unfinished_only`, finished runs
    /// are not counted (and need not be read).
    virtual boost::asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                                    bool unfinished_only) = 0;

    /// The number of children of the run by run state, as of the commits so far. A removed child is
    /// not counted; the run itself may have been removed.
    ///
    /// Default: lists the children. A store should count without reading them.
    virtual boost::asio::awaitable<child_counts> count_children(run_id parent);

    /// Up to `limit` finished runs of the workflow in the shard whose `updated_at` is before
    /// `cutoff`, in the order of (updated_at, id).
    virtual boost::asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                                        std::string_view workflow,
                                                                        time_point cutoff,
                                                                        std::size_t limit) = 0;

    /// As finished_before(), for the runs behind `position` in that order, its own run excluded.
    ///
    /// Default: calls finished_before(), which reads all runs up to there again.
    virtual boost::asio::awaitable<std::vector<record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, finished_position position,
                    time_point cutoff, std::size_t limit);

    /// Up to `limit` runs of the shard that are due: those with a `wake_at` of at most `latest`, in
    /// the order of (wake_at, id), beginning with the run at `first`, included. Finished runs that
    /// have a `wake_at` are among them.
    virtual boost::asio::awaitable<due_page> due(std::uint32_t shard, due_position first,
                                                 time_point latest, std::size_t limit) = 0;

    /// Up to `limit` events of the shard whose sequence is greater than `after_sequence`, in order.
    /// Only the sequences of removed runs are missing.
    virtual boost::asio::awaitable<std::vector<event>>
    events(std::uint32_t shard, std::uint64_t after_sequence, std::size_t limit) = 0;

    /// The sequence of the shard's last event; 0 before the first. If events at the end were
    /// removed, it may be the sequence of one of these.
    ///
    /// Default: calls events() and reads the whole log.
    virtual boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard);

    /// Up to `limit` events of the run whose version is greater than `after_version`, in order.
    virtual boost::asio::awaitable<std::vector<event>>
    history(run_id run, std::uint64_t after_version, std::size_t limit) = 0;

    /// Up to `limit` pending messages of the run whose sequence is greater than `after_sequence`,
    /// in order.
    virtual boost::asio::awaitable<std::vector<message>>
    inbox(run_id run, std::uint64_t after_sequence, std::size_t limit) = 0;

    /// The sequence of a message with its outcome, which may be `pending`, and detail; empty if the
    /// run has no such message.
    virtual boost::asio::awaitable<std::optional<settlement>> outcome(run_id run,
                                                                      std::uint64_t sequence) = 0;

    /// The position of a named cursor in the shard's log; 0 if it was never moved.
    virtual boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                         std::uint32_t shard) = 0;

    /// Claims those of the shards that are free or lapsed or belong to `owner`; completes with
    /// their leases, in any order. A shard of another owner is left out.
    ///
    /// A new owner gets an epoch greater than any before, at least 1. An owner that claims its own
    /// shard renews its lease and keeps its epoch, also after the lease has lapsed; but it gets a
    /// greater epoch if the database was opened again, when the store is not shared, or went back
    /// to an earlier state. No two engines have the same owner name at any time.
    ///
    /// In a shared store a lease ends when `lease_duration` has passed on the store's clock; a
    /// duration of zero lapses at once. In a store that is not shared it does not end.
    ///
    /// Errors: invalid_argument — a shard does not exist, or `owner` is empty; nothing is claimed.
    virtual boost::asio::awaitable<std::vector<lease>>
    claim(std::vector<std::uint32_t> shards, std::string_view owner, duration lease_duration) = 0;

    /// Releases shards: they have no owner then, and the next claim gets a greater epoch, whoever
    /// makes it. A lease whose epoch is not the shard's changes nothing; a second release of the
    /// same lease has no effect.
    virtual boost::asio::awaitable<void> release(std::vector<lease> held_leases) = 0;

    /// The leases of all shards of all workflows, in the order of the shards, free ones included.
    ///
    /// The owner of a lease that has lapsed, or that ended when the database was opened again, is
    /// named until it releases the shard or another owner claims it: so an engine can tell that the
    /// engine before it crashed.
    virtual boost::asio::awaitable<std::vector<lease>> leases() = 0;

    /// Claims the role if it is free or lapsed or belongs to `owner`, which renews its lease; empty
    /// if another owner holds it.
    ///
    /// Epochs are given as by claim(). Leases of roles end in every store, `lease_duration` after
    /// the call; opening a database that is not shared ends those of before.
    ///
    /// Errors: invalid_argument — `role` or `owner` is empty.
    virtual boost::asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) = 0;

    /// Releases the role; the next holder gets a greater epoch. A lease whose epoch is not the
    /// role's changes nothing.
    virtual boost::asio::awaitable<void> release_role(role_lease held_lease) = 0;

    /// The roles that are held now and whose names begin with `prefix`, in the order of the bytes
    /// of their names.
    virtual boost::asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) = 0;

    /// Forgets the roles that nobody holds now and whose names begin with `prefix`. Their epochs
    /// may begin at 1 again. Engines forget the roles that serve as their heartbeats, whose names
    /// are used once.
    virtual boost::asio::awaitable<void> forget_roles(std::string_view prefix) = 0;

    /// Calls `handler` for the commits of all processes until the returned handle is destroyed. A
    /// call that is in progress then may still complete.
    ///
    /// Notifications may come late, be merged, or get lost: a caller that depends on them also
    /// polls. After a loss that the store knows of, it notifies each shard with a `due` of
    /// time_point::min(). The handler is called on any thread; it must not block.
    ///
    /// A shared store returns a handle that is not null. Default, for stores that are not shared:
    /// null; the handler is never called.
    virtual std::shared_ptr<void> subscribe(change_handler handler);

    /// The starts and callbacks that programs have stored in the database, which the engines take
    /// and carry out. It lives as long as the store.
    ///
    /// Default: null; the store has none.
    virtual request_queue* requests() noexcept { return nullptr; }

    /// Up to `limit` events of the topic whose position is greater than `after_position`, in order.
    virtual boost::asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after_position, std::size_t limit) = 0;

    /// The position of the topic's last event, also if it was trimmed; 0 before the first.
    virtual boost::asio::awaitable<std::uint64_t> topic_end(std::string_view topic) = 0;

private:
    friend class streams::topic_waiters;

    /// Receivers in this process that wait for events of topics; null until there is one.
    mutable std::shared_ptr<streams::topic_waiters> topic_waiters_;
};

/// The number, from 0 to `shards` - 1, of the shard of its workflow that a foreign id belongs to.
/// Stored: never change the function.
std::uint32_t shard_of(std::string_view foreign_id, std::uint32_t shards) noexcept;

/// The workflow in whose shards a run is: its own. For a schedule (a run of "pawl.schedules") it is
/// the workflow that the schedule triggers, and for a bulk change (a run of "pawl.bulk") it is the
/// workflow before the first '/' of its foreign id, so that an engine that has this workflow drives
/// it.
/// Stored: never change the function.
std::string_view shard_home(std::string_view workflow, std::string_view foreign_id) noexcept;

} // namespace pawl
