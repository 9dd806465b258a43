#pragma once

#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "pawl/store_transaction.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/awaitable.hpp>

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

/// When a trigger is refused for its foreign id.
enum class id_reuse_policy : std::uint8_t {
    allow_after_finish, ///< one unfinished run per foreign id; after it finished, another may start
    reject_duplicate,   ///< one run per foreign id, forever
};

/// Stores the next version of a run, its event, and what became of the messages that it consumed.
///
/// A transition whose `next` has finished also settles all other pending messages of the run, as
/// refused with the detail "the run has finished", and leaves it without a wake-up. A message that
/// was settled before keeps its first outcome. A finished run still takes messages of kind
/// delete_data, which make it due.
///
/// One of kind data_deleted also empties what was said of the run, because such texts quote data:
/// the `error` of its events so far, but for the reason of the deletion, and the `detail` of its
/// settled messages. Foreign id, keys, trace parent, callback names and who asked for what stay.
struct transition {
    /// `next.version` is `expected_version + 1`. Workflow, foreign id, start key, trace parent and
    /// creation time of a run never change.
    record next;

    /// The version that `next` was made from; 0 creates the run.
    std::uint64_t expected_version = 0;

    event_kind kind = event_kind::started;
    int from = 0; ///< the status before

    /// The run state before, for observers; not stored. Of a start: initiated.
    run_state state_before = run_state::initiated;

    /// Only when creating: decides together with `next.start_key`. A run of the same workflow and
    /// foreign id that has the same, not empty, start key makes the result `duplicate`.
    id_reuse_policy start = id_reuse_policy::allow_after_finish;

    std::vector<settlement> settled; ///< messages that this transition ends

    /// Sequence of the newest message that the maker of this transition knew of. If the inbox holds
    /// a newer one, the store keeps the run due now, whatever `next.wake_at` says.
    std::uint64_t inbox_seen = 0;

    /// The epoch of the lease under which it was made; 0 when it needs none (creating a run).
    std::uint64_t epoch = 0;
};

/// Stores a message in a run's inbox and makes the run due now. A message whose key another one of
/// the run has is a duplicate, unless that one was settled as failed: then the key is free again.
struct delivery {
    message content; ///< its sequence is given by the store

    /// Refused as inbox_full when the run has this number of pending messages. 0: no limit.
    std::uint32_t max_pending = 0;
};

/// Moves a named cursor of a shard forward. A cursor never moves back: a smaller position is
/// accepted and changes nothing.
struct cursor_move {
    std::string name;
    std::uint32_t shard = 0;
    std::uint64_t position = 0;
    std::uint64_t epoch = 0; ///< of the shard's lease; 0 is not checked
};

/// Removes a finished run with its history, its inbox and its start key, as if it had never been:
/// id_reuse_policy::reject_duplicate no longer knows of it. Sequences of removed events are not
/// given again.
struct removal {
    run_id run;
    std::uint64_t expected_version = 0;
    std::uint64_t epoch = 0; ///< of the shard's lease; 0 is not checked
};

/// Appends an event to a topic.
struct publication {
    std::string topic;
    stream_event content; ///< its position is given by the store
};

/// Removes the events of a topic up to a position, that included. Their ids may come again then.
struct topic_trim {
    std::string topic;
    std::uint64_t up_to = 0;
};

using change = std::variant<transition, delivery, cursor_move, removal, publication, topic_trim>;

enum class apply_status : std::uint8_t {
    accepted,
    duplicate,       ///< this start key, message key or event id was accepted before
    conflict,        ///< the stored version is not the expected one
    already_running, ///< creating: an unfinished run holds the foreign id; removing: it is
                     ///< unfinished
    already_ran,     ///< creating with id_reuse_policy::reject_duplicate: a finished run holds the
                     ///< foreign id
    finished,        ///< delivery: the run has finished
    fenced,          ///< the shard's epoch is not the change's
    not_found,       ///< no run of that id
    inbox_full,      ///< delivery: the run has delivery::max_pending messages already
};

struct apply_result {
    apply_status status = apply_status::accepted;

    /// accepted transition: its event's sequence; delivery: the message's, publication: the
    /// event's position (both also of a duplicate).
    std::uint64_t sequence = 0;

    /// duplicate, already_running, already_ran: the run that is there (of a message: its run).
    run_id existing;

    /// duplicate delivery: what became of the first one.
    message_outcome outcome = message_outcome::pending;
    std::string detail;
};

/// What became of a change that record_store::apply_apart() had not decided when it completed.
struct late_result {
    std::size_t index = 0; ///< of the change in its batch
    apply_result result;
    std::exception_ptr failure; ///< set: what the store threw for this change
};

/// The changes of a batch that wait for a lock after record_store::apply_apart() has completed.
class waiting_changes {
public:
    virtual ~waiting_changes() = default;

    /// Completes with results of some of them when they are known, and with none after the last.
    /// One call at a time.
    virtual boost::asio::awaitable<std::vector<late_result>> next() = 0;
};

struct applied_batch {
    std::vector<apply_result> results;        ///< of all changes but those in `waiting`
    std::vector<std::size_t> waiting;         ///< indexes of the changes that wait, ascending
    std::shared_ptr<waiting_changes> pending; ///< those changes; null when there is none
};

/// A place in the order of due runs: by time, then by id.
struct due_position {
    time_point at = time_point::min();
    run_id id;

    friend auto operator<=>(const due_position&, const due_position&) = default;
};

/// A place in the order of finished runs: by the time of their last commit, then by id.
struct finished_position {
    time_point at = time_point::min();
    run_id id;

    friend auto operator<=>(const finished_position&, const finished_position&) = default;
};

struct due_page {
    std::vector<record> runs; ///< in order of (wake_at, id)

    /// Where the next page begins: the first run after `runs`, due or not; empty when there is
    /// none.
    std::optional<due_position> next;
};

enum class sort_order : std::uint8_t { oldest_first, newest_first };

/// A place in the order of creation: that of a run, also of one that has been removed since.
struct list_position {
    time_point created_at;
    run_id run;

    /// False for the default-constructed position, which is the beginning.
    explicit operator bool() const noexcept { return static_cast<bool>(run); }

    friend auto operator<=>(const list_position&, const list_position&) = default;
};

/// Text of digits, letters and '-', for links and files: parse_list_position() reads it.
std::string to_string(const list_position& place);

/// Empty when `text` is anything else than what to_string() gives.
std::optional<list_position> parse_list_position(std::string_view text) noexcept;

/// What record_store::list looks for. A text that is empty, and a list that is not given, exclude
/// nothing. A list that is given and empty matches no run: what a program computed as "none of
/// them" must not become all of them. A list has at most 1000 values.
struct record_query {
    std::string workflow;
    std::optional<std::vector<std::string>> foreign_ids;
    std::optional<std::vector<int>> statuses;
    std::optional<std::vector<run_state>> states;
    std::optional<time_point> created_from;      ///< inclusive
    std::optional<time_point> created_to;        ///< exclusive
    std::optional<time_point> updated_from;      ///< inclusive; of the last commit
    std::optional<time_point> updated_to;        ///< exclusive
    std::optional<bool> has_error;               ///< whether last_error says something
    std::string error_text;                      ///< part of last_error, in the same case
    sort_order order = sort_order::oldest_first; ///< of creation; ids break ties
    std::size_t limit = 25;                      ///< 1 to 1000
    list_position after; ///< the `next` of the page before; none: the first page
};

struct record_page {
    std::vector<record> runs;

    /// Give it as `after` for the next page, also when the run there has been removed meanwhile;
    /// none when this is the last page.
    list_position next;
};

struct status_count {
    std::string workflow;
    int status = 0;
    run_state state = run_state::initiated;
    std::uint64_t runs = 0;
};

/// A named role's holder until a time: one of many processes does what the role is for.
struct role_lease {
    std::string role;
    std::uint64_t epoch = 0; ///< grows at each change of holder
    std::string owner;
    time_point until; ///< by the store's clock
};

/// An engine's ownership of a shard until a time.
struct lease {
    std::uint32_t shard = 0;
    std::uint64_t epoch = 0; ///< grows at each change of owner
    std::string owner;       ///< empty: nobody's
    time_point until;        ///< by the store's clock; of a store that is not shared: max()
};

/// That something was committed in a shard, by whichever process.
struct shard_change {
    std::uint32_t shard = 0;

    /// The earliest wake time that was stored since the last news of the shard by changes that need
    /// no ownership of it (starts, deliveries); empty: none. Its owner does not know of these.
    std::optional<time_point> due;
};

using change_handler = std::function<void(std::span<const shard_change>)>;

/// Where runs live: the seam that memory, SQLite and PostgreSQL stand behind, and that you may
/// implement. The conformance suite of pawl::testing states this contract as tests.
///
/// Every function may be called from any executor and completes on the caller's. The calls are
/// coroutines: the caller keeps arguments that are references, spans or views alive until they
/// complete. None honours cancellation: a write in flight is either done or not, and says which.
///
/// Errors: an awaitable throws pawl::error with one of the `store_*` codes, or with
/// errc::invalid_argument when an argument is out of its range: a shard that is none, a page limit,
/// a transition whose versions do not follow each other. After `apply` threw, nothing may be
/// assumed of its batch; whoever needs to know reads again. But errc::too_large, for a change that
/// is larger than the backend takes, and errc::invalid_argument say that nothing of the batch was
/// stored nor will be: an engine then divides the batch, so that one change is refused alone. A
/// store that throws anything else than pawl::error is one that is not available.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class record_store {
public:
    virtual ~record_store() = default;

    /// The slices that the runs of a workflow are divided into, fixed when the database is made. A
    /// run's slice is shard_of(foreign_id, shards()), its shard the slice plus the first shard of
    /// shard_home(workflow, foreign_id).
    virtual std::uint32_t shards() const noexcept = 0;

    /// True when other processes may work on the same database. If false, leases given by this
    /// object never lapse, and opening the database ended those of a process before.
    virtual bool shared() const noexcept = 0;

    /// The first shard of each of these workflows, in their order. A name that is new to the store
    /// is stored first.
    ///
    /// In a shared store each workflow has shards() shards of its own, from its first one on, which
    /// never change: so an engine can own those of its workflows alone. The first workflow of a new
    /// store has the shards from 0 on. A store has at most 32,768 shards in all. In a store that is
    /// not shared every workflow has the same shards, from 0 on.
    ///
    /// Errors: invalid_argument: the store has no shards left for another workflow.
    ///
    /// Default, for stores that are not shared: a 0 for each name.
    virtual boost::asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows);

    /// What the store's own clock says, by which leases lapse. The engines of a shared store take
    /// their time from it, so that the clocks of their machines need not agree.
    ///
    /// Default: empty, which says that the engine's clock is the store's.
    virtual boost::asio::awaitable<std::optional<time_point>> now();

    /// Stores a batch in one transaction, in its order. Each change is accepted or rejected on its
    /// own; result i belongs to change i.
    ///
    /// Durability: what it reports as accepted is as durable as the backend's options promise.
    virtual boost::asio::awaitable<std::vector<apply_result>>
    apply(std::span<const change> batch) = 0;

    /// As apply(), for changes that may be stored in several transactions: an engine's. When
    /// another session has locked a shard or a topic, the changes that need it wait, and the call
    /// completes once the other changes are stored. A change waits no longer than the store's
    /// options say; it fails alone then.
    ///
    /// A publication is stored in one transaction with the change before it. Changes of one shard
    /// are stored in the order in which they were given, those of later batches too.
    ///
    /// Default: apply(), and none waits.
    virtual boost::asio::awaitable<applied_batch> apply_apart(std::span<const change> batch);

    /// For stores that need no I/O: applies one change here and now, as apply() would, in the
    /// caller's thread, within microseconds. An engine then collects no batches, so that a run goes
    /// through its steps while it is warm in the processor's cache.
    ///
    /// Default: empty, which says that the store does not do that. It is the same at each call.
    virtual std::optional<apply_result> try_apply(const change& only);

    /// A transaction of the database in which a program does `work`, and which stores a transition
    /// of a run.
    ///
    /// Default: throws error (invalid_argument), as for work of another kind of database: the store
    /// has no transactions of this kind.
    virtual std::unique_ptr<store_transaction> make_transaction(transaction_work work);

    virtual boost::asio::awaitable<std::optional<record>> find(run_id id) = 0;

    /// As find(), here and now, for stores that try_apply(). Not asked of a store that is shared.
    ///
    /// Default: empty, which says that the store does not do that, or has no such run.
    virtual std::optional<record> try_find(run_id id);

    /// The unfinished run of this foreign id, of which there is at most one; else the one with the
    /// latest creation time. Which run is meant does not depend on what clocks said.
    virtual boost::asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                                 std::string_view foreign_id) = 0;

    virtual boost::asio::awaitable<record_page> list(const record_query& query) = 0;

    /// How many runs stand where, of one workflow, or of all when the name is empty. With
    /// `unfinished_only`, finished runs are not counted (and need not be read).
    virtual boost::asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                                    bool unfinished_only) = 0;

    /// Up to `limit` finished runs of the workflow in the shard whose last commit was before
    /// `before`, the oldest first; ids break ties.
    virtual boost::asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                                        std::string_view workflow,
                                                                        time_point before,
                                                                        std::size_t limit) = 0;

    /// As finished_before(), of the runs that stand behind `after` in that order.
    ///
    /// Default: by finished_before(), which reads all runs up to there again.
    virtual boost::asio::awaitable<std::vector<record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, finished_position after,
                    time_point before, std::size_t limit);

    /// Up to `limit` runs of the shard with `from <= (wake_at, id)` and `wake_at <= until`.
    virtual boost::asio::awaitable<due_page> due(std::uint32_t shard, due_position from,
                                                 time_point until, std::size_t limit) = 0;

    /// The shard's events with a sequence greater than `after`, in order, at most `limit`. No
    /// sequence is missing but those of runs that were removed.
    virtual boost::asio::awaitable<std::vector<event>>
    events(std::uint32_t shard, std::uint64_t after, std::size_t limit) = 0;

    /// Where the shard's log ends: the sequence of its last event, 0 before the first. When events
    /// at the end were removed it may be that of one of them.
    ///
    /// Default: by events(), which reads the whole log.
    virtual boost::asio::awaitable<std::uint64_t> log_end(std::uint32_t shard);

    /// The run's events with a version greater than `after`, in order, at most `limit`.
    virtual boost::asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after,
                                                               std::size_t limit) = 0;

    /// The run's pending messages with a sequence greater than `after`, in order, at most `limit`.
    virtual boost::asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after,
                                                               std::size_t limit) = 0;

    /// What became of a message; empty when there is no such message.
    virtual boost::asio::awaitable<std::optional<settlement>> outcome(run_id run,
                                                                      std::uint64_t sequence) = 0;

    /// A named cursor's position in a shard's log; 0 when it was never moved.
    virtual boost::asio::awaitable<std::uint64_t> cursor(std::string_view name,
                                                         std::uint32_t shard) = 0;

    /// Takes each of these shards that is free, lapsed, or the owner's already, which renews it;
    /// completes with those taken. A new owner gets a greater epoch than any before. The same owner
    /// keeps its own, also when its lease had lapsed; but when the database has gone back to an
    /// earlier state, it gets a greater one too. No two engines have the same owner name at any
    /// time.
    ///
    /// A lease ends when `lease_duration` has passed on the store's own clock, so that the clocks
    /// of engines need not agree; one of zero has lapsed at once.
    virtual boost::asio::awaitable<std::vector<lease>>
    claim(std::vector<std::uint32_t> shards, std::string_view owner, duration lease_duration) = 0;

    /// Gives shards back; the next claim gets a greater epoch, whoever makes it. A lease that is no
    /// longer held changes nothing.
    virtual boost::asio::awaitable<void> release(std::vector<lease> held) = 0;

    /// Every shard of every workflow with its owner. An owner whose lease has lapsed, or ended when
    /// the database was opened again, is named until it releases the shard or another engine claims
    /// it: so an engine can tell that the engine before it crashed.
    virtual boost::asio::awaitable<std::vector<lease>> leases() = 0;

    /// Takes the role if it is free, lapsed, or the owner's already, which renews it; empty
    /// otherwise. As claim(), but leases of roles lapse in every store. Opening a database that is
    /// not shared ends those of before.
    virtual boost::asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) = 0;

    /// Gives the role back. A lease that is no longer held changes nothing.
    virtual boost::asio::awaitable<void> release_role(role_lease held) = 0;

    /// The roles that are held now and whose names begin so, in order of their names.
    virtual boost::asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) = 0;

    /// Forgets the roles whose names begin so and that nobody holds now. Their epochs may
    /// start at 1 again. Engines do so with the roles that show that they are alive, whose names
    /// are used once.
    virtual boost::asio::awaitable<void> forget_roles(std::string_view prefix) = 0;

    /// Tells `hear` from now on what is committed, also by other processes, until the returned
    /// handle is destroyed. News may come late, merged, or not at all, so that whoever depends on
    /// them also looks now and then; after a gap that is known, each shard is told with
    /// `due = time_point::min()`. `hear` is called from any thread and does not block.
    ///
    /// Default, for stores that are not shared: null, nothing is told.
    virtual std::shared_ptr<void> subscribe(change_handler hear);

    /// The topic's events with a position greater than `after`, in order, at most `limit`.
    virtual boost::asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) = 0;

    /// The position of the topic's last event, also of one that was trimmed; 0 before the first.
    virtual boost::asio::awaitable<std::uint64_t> topic_end(std::string_view topic) = 0;
};

/// The slice that a foreign id falls in. Stored: never change the function.
std::uint32_t shard_of(std::string_view foreign_id, std::uint32_t shards) noexcept;

/// The workflow in whose shards a run is: its own; for a schedule (a run of "pawl.schedules") the
/// one that it triggers, so that an engine that has this workflow drives it. Stored: never change
/// the function.
std::string_view shard_home(std::string_view workflow, std::string_view foreign_id) noexcept;

} // namespace pawl
