#pragma once

#include "pawl/client.hpp"
#include "pawl/clock.hpp"
#include "pawl/connector.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/detail/engine_api.hpp"
#include "pawl/error.hpp"
#include "pawl/log.hpp"
#include "pawl/observer.hpp"
#include "pawl/record_store.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/role_scheduler.hpp"
#include "pawl/workflow.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

class operations;

namespace detail {
class engine_core;
class limits_api;
} // namespace detail

/// Options of an engine. The engine's constructor throws definition_error for a value out of its
/// range.
struct engine_options {
    /// Where runs are stored: open_memory(), open_sqlite(path), open_postgres(executor, uri), or a
    /// store of your own. Required.
    std::shared_ptr<record_store> store;

    /// The source of time. With a shared store that has its own clock (PostgreSQL) it only measures
    /// the time since that clock was last read. Default: default_clock(), the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();

    /// The human-readable name of the engine in leases. In a shared store a random suffix is added,
    /// so that names are unique. Default: empty, the process id and a random number.
    std::string name{};

    /// Maximum number of runs in memory whose steps are running or about to run. Further due runs
    /// wait in the store. At least 1. Default 16,384.
    ///
    /// While runs wait, a free place goes to the run that has been due longest, over all shards; a
    /// run that was just triggered waits behind them. When many places are free at once, each shard
    /// gets an equal part of them.
    ///
    /// A handler that waits for another run, or for the answer of a callback or command, does not
    /// count while it waits, if it does so in its own coroutine and by a client of this engine; see
    /// max_waiting_handlers. When the wait ends, the handler continues at once, so that the limit
    /// may be exceeded for a while. When no place becomes free for 10 s while runs are due, the
    /// engine logs it and reports it in engine_statistics::stalled_for and as errc::stalled of
    /// readiness().
    std::size_t max_active_runs = 16'384;

    /// Maximum number of further runs in memory with work that does not wait behind steps:
    /// messages, passed deadlines, ends of pauses, a retry after an error. Callbacks, commands and
    /// timeouts of other runs therefore continue however many steps hang; when this many callbacks
    /// and timeouts hang too, further ones wait until one ends. At least 1. Default 1,024.
    std::size_t urgent_runs = 1'024;

    /// Maximum number of handlers that wait for another run or for an answer, in addition to
    /// max_active_runs. A further handler keeps its place while it waits. Each needs about 8 KiB,
    /// measured for 16,384 of them with small objects and with the memory store's record of the
    /// run. 0: none. Default 131,072.
    std::size_t max_waiting_handlers = 131'072;

    /// Maximum number of runs whose ids are in memory while they wait for limits with keys (see
    /// step_options::within()) or take turns (step_options::fair_by()), for each such step. Each
    /// takes about 200 bytes. Further runs wait in the store and join in the order in which they
    /// became due, when half of the others have begun. At least 1. Default 262,144.
    std::size_t max_limited_runs = 262'144;

    /// Maximum number of changes in one transaction of the store. At least 1. Default 1,024.
    std::size_t max_batch = 1'024;

    /// Maximum size in bytes of the objects, payloads and texts in one transaction. A larger change
    /// is a transaction by itself. This bounds how long a commit waits for others. At least 1.
    /// Default 4 MiB.
    std::size_t max_batch_bytes = 4 * 1024 * 1024;

    /// Maximum number of calls (triggers, callbacks, commands) that wait for their commit. A
    /// further call fails with errc::overloaded. At least 1. Default 100,000.
    std::size_t max_waiting_calls = 100'000;

    /// Maximum number of pending messages in the inbox of one run. A further callback fails with
    /// errc::inbox_full. Up to 64 more commands are accepted, so that a run with a full inbox can
    /// be paused, resumed and cancelled. The ends of children are accepted too: a run gets one for
    /// each child that it has started. Each engine applies its own limit to the messages that it
    /// sends. 1 to 1,000,000. Default 10,000.
    std::uint32_t max_pending_messages = 10'000;

    /// Maximum size in bytes of each of these: an encoded object, a payload, and all recorded
    /// effects of a run together. A trigger or callback over the limit fails with errc::too_large.
    /// A handler over it fails with a reason that names size and limit, and is not retried. At
    /// least 1. Default 1 MiB.
    std::size_t max_object_size = 1024 * 1024;

    /// How long a cancelled handler may take to end. Afterwards the run continues without it: the
    /// handler's late result is discarded, it can no longer record an effect, and it no longer
    /// counts in `max_concurrency`. Also how long a callback's handler may run before a passed
    /// deadline cancels it. Above zero. Default 5 s.
    duration cancellation_grace = std::chrono::seconds{5};

    /// Number of consecutive crashes of the engine's process (a crash, a kill, a power loss) during
    /// one attempt of a handler after which the attempt fails and is not retried. A step then
    /// pauses the run or enters its `on_exhausted` status, a timeout pauses the run, a callback
    /// fails its message; the reason says so. 0: no limit; else at least 5. Default 5.
    ///
    /// A new effect (run::once(), a transaction) is progress: the count starts again. A long
    /// attempt that records effects is therefore not blamed for crashes that it survives.
    ///
    /// Handlers that were running at two consecutive crashes run at most 16 at a time in an engine;
    /// after three, one at a time, each until it ends or has run for 2 s. A handler is therefore
    /// not blamed for a crash that another one caused.
    std::uint32_t max_crashes = 5;

    /// True: the engine drives no runs. Its clients start, call, command, await and list runs that
    /// other engines of a shared store drive. Default false.
    bool client_only = false;

    /// How long an engine of a shared store owns its shards without a heartbeat; it sends one every
    /// third of this time. When an engine is killed, other engines continue its runs after this
    /// time plus at most a second. At least 100 ms. Default 10 s.
    duration lease_duration = std::chrono::seconds{10};

    /// How often an engine polls a shared store, in case a change notification was lost. At least
    /// 10 ms. Default 5 s.
    duration poll_interval = std::chrono::seconds{5};

    /// How a failing hook is retried. Hooks of other runs do not wait meanwhile. When its attempts
    /// are used up or its error is permanent, the event goes to hook_dead_letter_topic(), the
    /// failure is logged as an error, and later hooks are called. With max_attempts 0 it is retried
    /// without limit. A store failure, an overloaded engine, and an object that a newer program
    /// wrote use up no attempt. Default: a default-constructed retry_policy.
    retry_policy hook_retry{};

    /// Maximum duration of an attempt of a hook. A longer one is cancelled and counts as failed; if
    /// it does not end within `cancellation_grace`, it is abandoned. Zero: no limit. Default 1 day;
    /// set it to what your hooks need.
    duration hook_attempt_timeout = std::chrono::hours{24};

    /// Decides which engine runs a connector. Default: empty; leases in the store if it is shared,
    /// else this engine runs all of its connectors.
    std::shared_ptr<role_scheduler> roles{};

    /// True: start even if unfinished runs are in statuses that no step, callback or timeout
    /// handles. Those runs stay where they are. Default false: async_start fails with
    /// errc::unhandled_status.
    bool allow_unhandled_statuses = false;

    /// Receives transitions, attempts and batches for metrics, traces and audits. Default: none, at
    /// no cost.
    std::shared_ptr<pawl::observer> observer{};

    /// Receives log lines. Empty: lines are dropped. Default: log_to_stderr, warnings and errors to
    /// standard error.
    log_sink log = log_to_stderr;

    /// Maximum number of entries that the audit log of the store keeps, see
    /// operations::async_audit(). The oldest ones are removed when this engine appends further
    /// ones. At least 1,000. Default 100,000.
    std::uint64_t max_audit_entries = 100'000;

    /// Maximum number of commands that the bulk changes of this engine (see pawl::bulk_changes)
    /// have in flight: stored in the inboxes of runs, and not yet executed. It bounds which part of
    /// the engine's work bulk changes are. 1 to 1,000. Default 32.
    std::size_t max_bulk_commands = 32;

    /// Seed of the engine's random numbers, for simulations that need the same run ids each time.
    /// Two engines with the same seed make the same ids. Default: empty, the machine's entropy.
    std::optional<std::uint64_t> seed{};
};

/// What a start of the engine would do with the unfinished runs of one workflow, status and run
/// state.
struct start_plan {
    enum class action_kind : std::uint8_t {
        continues,        ///< the workflow handles the status
        moves,            ///< the status was replaced: they continue in `successor`
        unhandled,        ///< nothing handles the status: the start fails, or they stay there
        unknown_workflow, ///< no live engine has the workflow: they stay where they are
        elsewhere,        ///< only other engines of the shared store have the workflow
        relabeled,        ///< the status's number had another label: the start fails
        left_to_newer,    ///< only a newer program has the status: left to its engines
    };

    std::string workflow;
    int status = 0;
    std::string label; ///< of the status; its number if the workflow does not know it
    run_state state = run_state::initiated;
    std::uint64_t runs = 0;
    action_kind action = action_kind::continues;
    int successor = 0;          ///< moves: the status where the runs continue
    std::string label_before{}; ///< relabeled: the former label of the number

    /// What the present definition of the workflow changes for these runs, one sentence each: steps
    /// and timeouts that were added since they entered the status, timeouts and callbacks that were
    /// removed. Empty once a program with this definition has been started.
    std::vector<std::string> notes{};
};

/// A snapshot of the load of an engine.
struct engine_statistics {
    std::size_t active_runs = 0;      ///< runs in memory
    std::size_t urgent_runs = 0;      ///< of these: see engine_options::urgent_runs
    std::size_t waiting_handlers = 0; ///< of these: see engine_options::max_waiting_handlers
    std::size_t waiting_calls = 0;    ///< client calls that wait for their commit
    std::size_t waiting_changes = 0;  ///< changes that wait for the next batch
    std::size_t waiting_hooks = 0;    ///< events that hooks have read, not yet processed
    std::size_t waiting_events = 0;   ///< events that connectors have read, not yet processed

    /// Age of the oldest due run that has not been loaded yet; zero if there is none. Runs that
    /// wait for a place, for a limit, or for `max_concurrency` count. A growing value means that
    /// runs are stuck.
    duration due_lag{};
    std::string due_workflow; ///< the workflow of that run

    /// How long no place for a run has become free while runs were due. Zero until that has lasted
    /// for 10 s.
    duration stalled_for{};

    /// Recently due runs that need a newer program and are left to its engines: that program wrote
    /// their object, an effect or a message, or they are in a status that only it has.
    std::size_t left_to_newer = 0;

    std::vector<lease> leases; ///< of the shards that the engine owns
};

/// A workflow that no live engine of the store has.
struct undriven_workflow {
    std::string workflow;
    std::uint64_t runs = 0; ///< unfinished runs
    std::uint64_t schedules = 0;
};

/// The engines that share a store, and their shards.
struct cluster_view {
    std::vector<std::string> engines; ///< live engines, by their names in leases
    std::vector<lease> shards;        ///< all; a lease of a dead owner expires soon
    std::string self;                 ///< this engine's name in leases

    /// Workflows with unfinished runs or schedules that no live engine has. Their runs wait.
    std::vector<undriven_workflow> undriven;
};

/// Drives the runs of its workflows on an executor that you supply.
///
/// A run's handlers never run concurrently, and only on threads of that executor. Idle runs need no
/// memory, coroutine or timer.
///
/// Lifecycle: construct, add() workflows, connect() sources, async_start, use the clients,
/// async_stop, destroy.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, except for construction, add(), connect() and
/// destruction.
class engine {
public:
    /// Makes an engine that is not started.
    ///
    /// @throws definition_error when an option is out of its range; what() names it.
    engine(boost::asio::any_io_executor executor, engine_options options);

    /// Destroys the engine. It must not have been started, or async_stop must have completed.
    /// Otherwise an error is logged, and the engine stops by itself as after async_stop(0s) while
    /// its executor keeps running.
    ~engine();

    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// Adds a workflow and returns its client. Call it before the engine is started.
    ///
    /// Lifetime: a client may outlive the engine, but not the execution context of its executor;
    /// after the stop its operations complete with errc::not_running. Handlers may capture clients,
    /// also of their own engine: when async_stop completes, the engine has released its workflows,
    /// its store and everything else that it was given, so captured clients do not keep them alive.
    /// @throws definition_error when the engine has a workflow of that name, or was started.
    template <class Object, class Status>
    client<Object, Status> add(workflow<Object, Status> flow)
    {
        add_untyped(flow.impl());
        return client<Object, Status>{api(), std::move(flow)};
    }

    /// Connects a source of events to a workflow of this engine: `fn` is called for each event, and
    /// starts or calls runs through its event_context. Call it before the engine is started.
    ///
    /// @code
    /// boost::asio::awaitable<void> take_payment(
    ///     pawl::event_context<Order, OrderStatus>& in, payment received)
    /// {
    ///     co_await in.send(received.order_id, "paid", received);
    /// }
    /// engine.connect("payments", pawl::from_topic(broker, "payments"), orders, take_payment);
    /// @endcode
    ///
    /// `name` has 1 to 128 letters, digits, '-', '_' and '.'. The read position is stored under it:
    /// a connector with another name is a new consumer of its source. Among all engines
    /// that have a connector of this name, one at a time runs it (see engine_options::roles); when
    /// that engine stops or is cut off, another one continues.
    ///
    /// `fn` is `boost::asio::awaitable<void>(event_context<Object, Status>&)`, or takes the event's
    /// payload as a second parameter, of any type that event_codec reads: a described type,
    /// pawl::event for events(), stream_event for the whole event. It is called as const, on
    /// threads of the executor, concurrently for events of different keys.
    ///
    /// Events of one key are processed in their order; events without a key have no order. Each
    /// event is processed at least once, and what is done through the event_context happens exactly
    /// once per event id. An id has at most 800 bytes. An event is acknowledged when it and all
    /// earlier ones have been processed. An event that cannot be read, that is for a finished run,
    /// or whose attempts are used up goes to dead_letter_topic(name), is logged as an error, and
    /// does not delay the others.
    ///
    /// async_stop lets running functions finish until its drain is over.
    /// @throws definition_error when the engine has a connector of that name, does not have the
    ///     workflow, is `client_only`, or was started, or when an option is out of its range.
    template <class Object, class Status, class Fn>
    void connect(std::string name, std::shared_ptr<event_source> source,
                 const workflow<Object, Status>& target, Fn fn, connector_options options = {})
    {
        connect_untyped({std::move(name), target.name(), std::move(source),
                         detail::make_connector(target, std::move(fn)), std::move(options)});
    }

    /// The same with the workflow's client.
    template <class Object, class Status, class Fn>
    void connect(std::string name, std::shared_ptr<event_source> source,
                 const client<Object, Status>& target, Fn fn, connector_options options = {})
    {
        connect(std::move(name), std::move(source), target.definition(), std::move(fn),
                std::move(options));
    }

    /// Returns the committed transitions of a workflow as a source of events, for connectors of
    /// this engine or of another engine in this process.
    ///
    /// to_stream_event() describes the events. They are read from the event log with a durable
    /// cursor for each consumer and are not stored a second time; forward_to() copies them to a
    /// topic.
    ///
    /// Retention of this engine keeps a run until each of its connectors, and each receiver that is
    /// open in this process, has acknowledged the run's events from this source. That includes a
    /// source of your own that passes these events on, if it opens this source under the consumer
    /// name that it is given. Receivers in other processes are not known.
    /// @throws definition_error when the engine does not have the workflow (unless other processes
    ///     share the store) or has been stopped, or when an option is out of its range.
    std::shared_ptr<event_source> events(std::string workflow, workflow_event_options options = {});

    /// Reports what async_start would do with the unfinished runs in the store, and changes
    /// nothing. May be called before async_start.
    ///
    /// Completes: with one entry for each workflow, status and run state that has unfinished runs.
    /// Signature: `void(error_code, std::vector<start_plan>)`.
    /// Errors: not_running — the engine has stopped; a store_* code — the store failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_preview_start(Token&& token = {})
    {
        return detail::initiate<Token, std::vector<start_plan>>(
            [](auto handler, engine* self) {
                self->plan(detail::completion<std::vector<start_plan>>{std::move(handler)});
            },
            token, this);
    }

    /// Starts the engine: acquires shards, checks the stored statuses, and drives what is due.
    ///
    /// It checks that the labels of all statuses are those of earlier programs (see
    /// builder::renamed()) and that the workflows handle the statuses of all unfinished runs. It
    /// moves the runs of replaced statuses. The log has what becomes of the unfinished runs of each
    /// status, as async_preview_start reports it.
    ///
    /// Completes: when the engine runs. Signature: `void(error_code)`. With a shared store that is
    /// after its first heartbeat; shards follow soon after. Engines balance the shards of their
    /// workflows: a run whose handler is running reaches its next commit first, within
    /// `cancellation_grace`.
    /// Errors: missing_workflow — a workflow of the engine declares by builder::uses() that it uses
    /// one that the engine does not have; status_relabeled — a status's number had another label;
    /// unhandled_status — unfinished runs are in unhandled statuses (the log lists both); fenced —
    /// another engine holds the shards of a store that is not shared; not_running — the engine was
    /// started or stopped before; a store_* code — the store failed. After any other error than
    /// not_running the engine can be started again. Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_start(Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, engine* self) {
                self->start(detail::completion<>{std::move(handler)});
            },
            token, this);
    }

    /// Stops the engine: begins no further step or timeout handler, lets running handlers finish
    /// until `drain` has passed, then cancels them.
    ///
    /// Until then everything that a running handler, hook or connector calls in its own coroutine
    /// keeps working, with every client of this engine: effects, triggers, callbacks, commands,
    /// waits and reads. A message that it sends is handled at once, if necessary by a callback's
    /// handler; a run that it triggers begins after the next start or on another engine. Calls from
    /// elsewhere fail with errc::not_running at once. Waits from elsewhere end with
    /// errc::not_running when the last handler has ended or the drain is over.
    ///
    /// A handler that the stop ends has not failed: if it ends with operation_aborted or
    /// errc::not_running (alone, first of several, or nested) during the stop, or in any way after
    /// the drain, it uses up no attempt and settles no message. It runs again after the next start,
    /// as does everything else that has not committed.
    ///
    /// Idempotent; may be called before async_start. A stopped engine cannot be started again.
    ///
    /// Completes: when nothing of the engine runs and its shards are released. A handler that
    /// ignores its cancellation delays that. Signature: `void(error_code)`.
    /// Durability: everything that was reported as accepted is on disk.
    /// Errors: called_by_handler — a step, callback, timeout, hook or connector of this engine
    /// called it and would wait for itself; nothing is stopped. Spawn a coroutine on the executor
    /// that stops the engine, and do not wait for it in the handler.
    /// Cancellation: terminal, partial, total; ends the wait with operation_aborted. The stop
    /// continues, and a later call waits for its end.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_stop(any_duration drain = std::chrono::seconds{10}, Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, engine* self, duration span) {
                self->stop(span, detail::completion<>{std::move(handler)});
            },
            token, this, static_cast<duration>(drain));
    }

    /// Reads the load of this engine.
    ///
    /// Completes: with a snapshot. Signature: `void(error_code, engine_statistics)`.
    /// Errors: not_running — the engine was not started, or has stopped; a store_* code — the store
    /// failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_statistics(Token&& token = {})
    {
        return detail::initiate<Token, engine_statistics>(
            [](auto handler, engine* self) {
                self->statistics(detail::completion<engine_statistics>{std::move(handler)});
            },
            token, this);
    }

    /// Reads which engines share the store and which shards they own.
    ///
    /// Signature: `void(error_code, cluster_view)`.
    /// Errors: not_running — the engine was not started, or has stopped; a store_* code — the store
    /// failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_cluster(Token&& token = {})
    {
        return detail::initiate<Token, cluster_view>(
            [](auto handler, engine* self) {
                self->cluster(detail::completion<cluster_view>{std::move(handler)});
            },
            token, this);
    }

    /// Tries each dead letter of a topic once more. Call it when the cause of the failures has been
    /// removed.
    ///
    /// `topic` is a name that dead_letter_topic(), callback_dead_letter_topic() or
    /// hook_dead_letter_topic() returns for a connector or workflow of this engine. A callback is
    /// sent to its run again, under its former idempotency key; it fails again if the run has
    /// finished or was removed. A hook or a connector's function is called for the letter, at least
    /// once, without retries. A letter that succeeds is removed from the topic; one that fails
    /// moves to its end with the new error. Letters that arrive meanwhile are not tried.
    ///
    /// Completes: when all letters that the topic had at the call have been tried. Signature:
    /// `void(error_code, redrive_result)`.
    /// Durability: a letter is removed once what was done for it is durable; after a crash some
    /// letters may be tried again.
    /// Errors: invalid_argument — the topic holds no dead letters of this engine; not_running — the
    /// engine does not run, or stops before all letters were tried; a store_* code — the store
    /// failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_redrive(std::string topic, Token&& token = {})
    {
        return detail::initiate<Token, redrive_result>(
            [](auto handler, engine* self, std::string name) {
                self->redrive(std::move(name),
                              detail::completion<redrive_result>{std::move(handler)});
            },
            token, this, std::move(topic));
    }

    /// Returns what operators do with the runs of all workflows in the store. Include
    /// <pawl/operations.hpp> to use it.
    pawl::operations operations() const;

    /// True while the engine runs and can be expected to store what it is given.
    bool ready() const noexcept { return !readiness(); }

    /// Returns why the engine is not ready(); no error when it is.
    ///
    /// Errors: not_running — it does not run; store_unavailable — a shared store did not answer the
    /// last heartbeat or poll; stalled — no place for a run has become free for 10 s while runs are
    /// due, see the log; store_flush_failed — the store lost its database to a failed flush,
    /// permanently: open the store again, for a new engine.
    error_code readiness() const noexcept;

    /// True from the completion of async_start until async_stop is called.
    bool running() const noexcept;

    /// The executor that the engine was given.
    boost::asio::any_io_executor get_executor() const;

private:
    friend class limits;

    void add_untyped(std::shared_ptr<const detail::workflow_impl> flow);
    void connect_untyped(detail::connector_impl connector);
    std::shared_ptr<detail::engine_api> api() const;
    std::shared_ptr<detail::limits_api> limits_api() const;
    void start(detail::completion<> done);
    void stop(duration drain, detail::completion<> done);
    void plan(detail::completion<std::vector<start_plan>> done);
    void statistics(detail::completion<engine_statistics> done);
    void cluster(detail::completion<cluster_view> done);
    void redrive(std::string topic, detail::completion<redrive_result> done);

    std::shared_ptr<detail::engine_core> core_;
};

} // namespace pawl
