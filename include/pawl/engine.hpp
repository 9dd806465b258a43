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

namespace detail {
class engine_core;
}

struct engine_options {
    /// Where the runs live. Required: open_memory(), open_sqlite(path), open_postgres(executor,
    /// uri), or a store of your own.
    std::shared_ptr<record_store> store;

    /// What the engine takes time from; in a shared store with a clock of its own (PostgreSQL) only
    /// how time goes on from one reading of that clock to the next. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();

    /// The engine's name in leases, for people: in a shared store a random part is added, so that
    /// no two are the same. Empty: made of the process id and a random number.
    std::string name{};

    /// Runs in memory at a time whose steps are running or about to run. Past it, runs stay due in
    /// the store. As long as any run waits so, a free place goes to a run that waits, in the order
    /// in which the runs became due, over all shards; a run that has just been triggered waits
    /// behind them. Where many places are free at once, each shard gets an equal part of them. At
    /// least 1. Default 16,384.
    ///
    /// A handler that waits for another run or for the answer of a callback or command, through a
    /// client of this engine and in the coroutine of the handler itself, does not count while it
    /// waits: see max_waiting_handlers. When its wait ends it goes on at once, so that there may be
    /// a few more for a while. When no place becomes free for 10 s though runs are due, the engine
    /// says so: in the log, in engine_statistics::stalled_for, and by errc::stalled of readiness().
    std::size_t max_active_runs = 16'384;

    /// Further runs in memory that have something to do that does not wait behind steps: messages,
    /// passed deadlines, ends of pauses, a try after an error. So however many steps hang, the
    /// callbacks, commands and timeouts of other runs go on; if as many callbacks and timeouts
    /// hang, further ones wait until one ends. At least 1. Default 1,024.
    std::size_t urgent_runs = 1'024;

    /// Handlers that wait for another run or for an answer, beside max_active_runs. Past it, a
    /// handler keeps its place while it waits. Each takes about 8 KiB: measured for 16,384 of them
    /// with small objects, the memory store's record of the run included. 0: none. Default 131,072.
    std::size_t max_waiting_handlers = 131'072;

    /// Changes in one transaction of the store. At least 1. Default 1,024.
    std::size_t max_batch = 1'024;

    /// Most bytes of objects, payloads and texts in one transaction; a change that alone has more
    /// is one by itself. So nobody waits for more than this and the large change before his. At
    /// least 1. Default 4 MiB.
    std::size_t max_batch_bytes = 4 * 1024 * 1024;

    /// Calls (triggers, callbacks, commands) that wait for their commit at a time; more are refused
    /// with errc::overloaded. At least 1. Default 100,000.
    std::size_t max_waiting_calls = 100'000;

    /// Pending messages in the inbox of one run; a further callback is refused with
    /// errc::inbox_full. Up to 64 commands more are accepted, so that a run with a full inbox can
    /// be paused, resumed and cancelled. Each engine applies its own limit to the messages that it
    /// sends. 1 to 1,000,000. Default 10,000.
    std::uint32_t max_pending_messages = 10'000;

    /// Most bytes of what is stored at a time: of an encoded object (also by checkpoint(), once()
    /// and the scrubber), of a payload, and of the effects that a run has recorded, together. A
    /// trigger or callback with more is refused with errc::too_large; a handler that leaves more
    /// has failed, by a reason that names size and limit, and is not tried again. At least 1.
    /// Default 1 MiB.
    std::size_t max_object_size = 1024 * 1024;

    /// How long an interrupted handler may take to end after its cancellation. Then the run goes on
    /// without it: its late result is dropped, it can no longer record an effect, and it takes no
    /// place in `.max_concurrency`. Also how long a callback's handler may run before a passed
    /// deadline interrupts it. Default 5 s.
    duration cancellation_grace = std::chrono::seconds{5};

    /// Crashes in a row during one attempt of a handler (a crash, a kill or a power cut of the
    /// engine's process), after which the attempt fails and is not repeated: a step or a timeout
    /// pauses the run or enters the step's `on_exhausted` status, a callback fails its message. The
    /// reason says so. Handlers that were under way at two crashes in a row run at most 16 at a
    /// time in an engine, after three one at a time, each until it ends or has run for 2 s: so a
    /// handler is not blamed for a crash that another one caused. 0: no limit; else at least 5.
    /// Default 5.
    std::uint32_t max_crashes = 5;

    /// True: the engine drives no runs. Its clients start, call, command, await and list runs that
    /// other engines of a shared store drive. Default false.
    bool client_only = false;

    /// How long an engine of a shared store owns its shards without a sign of life; it gives one at
    /// a third of that. When it is killed, others take its runs over after this time and a second
    /// at most. At least 100 ms. Default 10 s.
    duration lease_duration = std::chrono::seconds{10};

    /// How often an engine of a shared store looks for what the store's news did not tell: they may
    /// be lost. At least 10 ms. Default 5 s.
    duration poll_interval = std::chrono::seconds{5};

    /// How a failing hook is repeated; other runs' hooks do not wait meanwhile. When its attempts
    /// run out, or its error is permanent, the event goes to hook_dead_letter_topic() with an error
    /// in the log, and the hooks behind it are called. With max_attempts 0 it is repeated without
    /// end. A store that fails, an engine that is overloaded, and an object that a newer program
    /// wrote use up no attempt. Default: retry_policy's.
    retry_policy hook_retry{};

    /// Cancels a hook that takes longer, and counts it as failed; one that does not end within
    /// `cancellation_grace` after that is left behind. Zero: no limit. Default 1 day: set it to
    /// what your hooks need.
    duration hook_attempt_limit = std::chrono::hours{24};

    /// Who decides which of many engines runs a connector. Empty: leases in the store, if other
    /// processes share it, else this engine runs all of its own.
    std::shared_ptr<role_scheduler> roles{};

    /// Start even if unfinished runs stand in statuses that no step, callback or timeout handles.
    /// They stay where they are.
    bool allow_unhandled_statuses = false;

    /// What watches the engine: metrics, traces. Default: nothing, which costs nothing.
    std::shared_ptr<pawl::observer> observer{};

    /// Where log lines go. Empty: nowhere. Default: warnings and errors to standard error.
    log_sink log = log_to_stderr;

    /// Where the engine's random numbers begin: for simulations, which want the same run ids each
    /// time. Two engines with the same seed make the same ids. Default: the machine's entropy.
    std::optional<std::uint64_t> seed{};
};

/// What a start would do with the unfinished runs of one workflow, status and run state.
struct start_plan {
    enum class action_kind : std::uint8_t {
        continues,        ///< the workflow handles the status
        moves,            ///< the status was retired: they go on in `successor`
        unhandled,        ///< nothing handles the status: the start is refused, or they stay there
        unknown_workflow, ///< no engine that is alive has the workflow: they stay where they are
        elsewhere,        ///< only other engines of the shared store have the workflow: they go on
        relabeled,        ///< the status's number had another label: the start is refused
        left_to_newer,    ///< a newer program has the status: they are left to engines that have it
    };

    std::string workflow;
    int status = 0;
    std::string label; ///< of the status; its number when the workflow does not know it
    run_state state = run_state::initiated;
    std::uint64_t runs = 0;
    action_kind action = action_kind::continues;
    int successor = 0;          ///< of a retired status
    std::string label_before{}; ///< relabeled: what the number stood for

    /// What the workflow's new definition changes for these runs, a sentence each: steps and
    /// timeouts that were added since they entered the status, timeouts and callbacks that were
    /// removed. Empty once a program with that definition has been started.
    std::vector<std::string> notes{};
};

/// How an engine does at this moment.
struct engine_statistics {
    std::size_t active_runs = 0;      ///< in memory
    std::size_t urgent_runs = 0;      ///< of these: taken up beside engine_options::max_active_runs
    std::size_t waiting_handlers = 0; ///< of these: handlers that wait, and do not count
    std::size_t waiting_calls = 0;    ///< of clients, for their commit
    std::size_t waiting_changes = 0;  ///< for the next batch
    std::size_t waiting_hooks = 0;    ///< events that hooks are working off
    std::size_t waiting_events = 0;   ///< events that connectors are working off

    /// How long the run has been due that has been due longest and is not in memory; zero when
    /// there is none. A run that waits for a place or for a permit of `max_concurrency` counts.
    /// While runs begin in time it is small; a growing age means that runs are stuck.
    duration due_lag{};
    std::string due_workflow; ///< whose run that is

    /// How long no place has become free though runs are due; zero while the engine goes on. Said
    /// from 10 s on.
    duration stalled_for{};

    /// Runs that were due lately and need a newer program, to whose engines they are left: it wrote
    /// their object, an effect or a message, or they are in a status of its own.
    std::size_t left_to_newer = 0;

    std::vector<lease> leases; ///< of the shards that it owns
};

/// A workflow that no engine of a store drives.
struct undriven_workflow {
    std::string workflow;
    std::uint64_t runs = 0; ///< unfinished ones
    std::uint64_t schedules = 0;
};

/// The engines that share a store, and their shards.
struct cluster_view {
    std::vector<std::string> engines; ///< those that are alive, by their names in leases
    std::vector<lease> shards;        ///< all of them; one whose owner is not alive lapses soon
    std::string self;                 ///< this engine's name in leases

    /// Workflows with unfinished runs or schedules that no engine has that is alive: these wait.
    std::vector<undriven_workflow> undriven;
};

/// Drives the runs of its workflows on an executor of yours.
///
/// Each run has a strand: its handlers never run beside each other, and never on a thread of which
/// you did not give the executor. Idle runs take no memory and no timer; nothing polls.
///
/// Life: construct, add() the workflows, async_start, use the clients, async_stop, destroy.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, except for construction, add() and destruction.
class engine {
public:
    /// @throws definition_error when an option is out of its range; what() names it.
    engine(boost::asio::any_io_executor executor, engine_options options);

    /// Destroy an engine that was never started, or whose async_stop has completed. Else an error
    /// is logged and the engine ends by itself as after async_stop(0s), as long as its executor
    /// goes on.
    ~engine();

    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// Adds a workflow and gives its client, before the engine is started.
    ///
    /// The client may outlive the engine: after the engine has stopped its operations complete with
    /// errc::not_running. Handlers may capture clients, of their own workflow's engine too: when
    /// async_stop completes, the engine has let go of its workflows, its store and everything else
    /// that it was given, so that a captured client keeps none of these alive.
    /// @throws definition_error when there is a workflow of that name, or the engine was started.
    template <class Object, class Status>
    client<Object, Status> add(workflow<Object, Status> added)
    {
        add_untyped(added.impl());
        return client<Object, Status>{api(), std::move(added)};
    }

    /// Connects a source of events to a workflow of this engine: `fn` is called for each event, and
    /// starts or calls back runs through the event_context that it gets. Before the engine is
    /// started.
    ///
    /// @code
    /// boost::asio::awaitable<void> take_payment(pawl::event_context<Order, OrderStatus>& in,
    /// payment p)
    /// {
    ///     co_await in.send(p.order_id, "paid", p);
    /// }
    /// engine.connect("payments", pawl::from_topic(broker, "payments"), orders, take_payment);
    /// @endcode
    ///
    /// `fn` is `boost::asio::awaitable<void>(event_context<Object, Status>&)`, or takes the event's
    /// payload after that, of any type that event_codec reads: a described struct, pawl::event for
    /// events(), stream_event for all of it. It is called as const, from the threads of the
    /// executor, for events of different keys at the same time.
    ///
    /// Events of one key follow each other; those without a key have no order. Each is worked off
    /// at least once, and what is done through the event_context exactly once, by the event's id,
    /// which has at most 800 bytes. An event is acknowledged when it and all before it have been
    /// worked off. One that cannot be read, that is for a run that has finished, or that fails as
    /// often as `options.retry` allows goes to dead_letter_topic(name), with an error in the log,
    /// and the others go on.
    ///
    /// Of all engines that have a connector of this name one at a time runs it, see
    /// engine_options::roles; when it ends or is cut off another goes on. A stop lets what is
    /// running go on until the drain is over.
    ///
    /// The name is kept with what has been read: a connector of another name begins anew. It has 1
    /// to 128 bytes of letters, digits, '-', '_' and '.'.
    /// @throws definition_error when the engine has a connector of that name, or not the workflow,
    ///     when it drives nothing, when an option is out of its range, or when the engine was
    ///     started.
    template <class Object, class Status, class Fn>
    void connect(std::string name, std::shared_ptr<event_source> source,
                 const workflow<Object, Status>& to, Fn fn, connector_options options = {})
    {
        connect_untyped({std::move(name), to.name(), std::move(source),
                         detail::make_connector(to, std::move(fn)), std::move(options)});
    }

    /// The same by the workflow's client.
    template <class Object, class Status, class Fn>
    void connect(std::string name, std::shared_ptr<event_source> source,
                 const client<Object, Status>& to, Fn fn, connector_options options = {})
    {
        connect(std::move(name), std::move(source), to.definition(), std::move(fn),
                std::move(options));
    }

    /// A workflow's committed transitions as a source of events, for connectors of this engine or
    /// of another one in this process: see to_stream_event() for what they look like. They are read
    /// from the log by a durable cursor of each consumer, and stored nowhere else; forward_to()
    /// sends them on to a topic.
    ///
    /// The retention of this engine keeps a run until each of its connectors, and each receiver
    /// that is open in this process, has acknowledged what it gets of the run from this source:
    /// also through a source of your own that hands these events on, if it opens this one under the
    /// consumer's name that it is given. It does not know of receivers in other processes.
    /// @throws definition_error when the engine does not have the workflow (in a store that other
    ///     processes share it may be another program's), or when an option is out of its range.
    std::shared_ptr<event_source> events(std::string workflow, workflow_event_options options = {});

    /// Says what async_start would do with the unfinished runs in the store, and does nothing.
    /// Signature: `void(error_code, std::vector<start_plan>)`. May be called before async_start.
    /// Cancellation: none. Errors: store_* codes.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_preview_start(Token&& token = {})
    {
        return detail::initiate<Token, std::vector<start_plan>>(
            [](auto handler, engine* self) {
                self->plan(detail::completion<std::vector<start_plan>>{std::move(handler)});
            },
            token, this);
    }

    /// Takes its part of the shards of its workflows, checks that the labels of all statuses are
    /// those of the programs before (see builder::renamed()) and that the workflows handle the
    /// statuses of all unfinished runs, moves those of retired statuses on, and begins to drive
    /// what is due. The log has what becomes of the unfinished runs of each status, as
    /// async_preview_start tells it.
    ///
    /// With a shared store it completes when it has shown that it is alive; the first shards come
    /// soon after. An engine without workflows gets none. When engines come or go, shards are given
    /// back and taken until each has as many: a run whose handler is at work goes on to its next
    /// commit first, for `cancellation_grace`.
    ///
    /// Completes with: errc::status_relabeled, errc::unhandled_status (the log has the list of
    /// either), errc::fenced when another
    /// engine holds the shards of a store that is not shared, a store_* code, or errc::not_running
    /// after a stop.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_start(Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, engine* self) {
                self->start(detail::completion<>{std::move(handler)});
            },
            token, this);
    }

    /// Begins no further step and no timeout's handler, lets running handlers go on until `drain`
    /// has passed, then cancels them.
    ///
    /// Until then everything that a running handler, hook or connector may call keeps working:
    /// effects, triggers, callbacks, commands, waits and reads, of every client of this engine, as
    /// long as they are called by the handler's own coroutine (on its strand). A message that it
    /// sends is handled at once, also if that takes a callback's handler; a run that it triggers
    /// begins after the next start, or on another engine. Calls from elsewhere are refused with
    /// errc::not_running from the first moment; waits of theirs that are under way go on until the
    /// last handler has ended or the drain is over, and then complete with errc::not_running.
    ///
    /// What the stop cancels or refuses is no failure: a handler that ends with operation_aborted
    /// or errc::not_running (alone, first of several, or nested) while the engine stops, or in any
    /// way after the drain, uses up no attempt and settles no message. It runs again after the next
    /// start. So does everything else that has not committed.
    ///
    /// Completes: when nothing of the engine runs and its shards are given back. A handler
    /// that does not react to cancellation delays that. Idempotent; legal before async_start.
    ///
    /// Durability: everything that was reported as accepted before is on disk, as always.
    ///
    /// Errors: errc::called_by_handler — a step, callback, timeout, hook or connector of this
    /// engine called it, and the stop would wait for its caller: nothing is stopped. Start a
    /// coroutine on the executor that stops the engine, and do not wait for it in the handler.
    ///
    /// Cancellation: terminal, partial, total: the wait ends with operation_aborted; the stop goes
    /// on, and a later call waits for its end.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_stop(any_duration drain = std::chrono::seconds{10}, Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, engine* self, duration span) {
                self->stop(span, detail::completion<>{std::move(handler)});
            },
            token, this, static_cast<duration>(drain));
    }

    /// Reads how the engine does. Signature: `void(error_code, engine_statistics)`.
    /// Cancellation: none. Errors: not_running; store_* codes.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_statistics(Token&& token = {})
    {
        return detail::initiate<Token, engine_statistics>(
            [](auto handler, engine* self) {
                self->statistics(detail::completion<engine_statistics>{std::move(handler)});
            },
            token, this);
    }

    /// Reads which engines share the store, and who has which shard.
    /// Signature: `void(error_code, cluster_view)`. Cancellation: none. Errors: not_running;
    /// store_* codes.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_cluster(Token&& token = {})
    {
        return detail::initiate<Token, cluster_view>(
            [](auto handler, engine* self) {
                self->cluster(detail::completion<cluster_view>{std::move(handler)});
            },
            token, this);
    }

    /// Tries the dead letters of a topic once more, once what made them fail has been put right:
    /// those that dead_letter_topic(), callback_dead_letter_topic() or hook_dead_letter_topic()
    /// names, of a connector or workflow of this engine.
    ///
    /// Callbacks are delivered again, once each, by the key that they had; those of runs that have
    /// finished or been removed fail again. A hook or a connector's function is called for the
    /// letter, at least once, without repetition. What succeeds is removed from the topic, what
    /// fails is put at its end with its new error; letters that come meanwhile are left alone.
    ///
    /// Completes when all letters that the topic had have been tried.
    /// Signature: `void(error_code, redrive_result)`.
    /// Durability: the topic's letters are removed once what was done for them is durable; after a
    /// crash some may be tried again.
    /// Cancellation: none. A stop ends it after the letter that is being tried.
    /// Errors: invalid_argument when the topic holds no dead letters of this engine's; not_running;
    /// store_* codes.
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

    /// True while it runs and can be expected to store what it is given.
    bool ready() const noexcept { return !readiness(); }

    /// Why it is not ready(); no error when it is. errc::not_running; errc::store_unavailable when
    /// a shared store did not answer when last looked; errc::stalled when no place for a run has
    /// become free for 10 s though runs are due, which the log explains; errc::store_flush_failed,
    /// for good, once the store has refused a change so: open it again, for a new engine.
    error_code readiness() const noexcept;

    /// True from the completion of async_start until async_stop is called.
    bool running() const noexcept;

    boost::asio::any_io_executor get_executor() const;

private:
    void add_untyped(std::shared_ptr<const detail::workflow_impl> added);
    void connect_untyped(detail::connector_impl added);
    std::shared_ptr<detail::engine_api> api() const;
    void start(detail::completion<> done);
    void stop(duration drain, detail::completion<> done);
    void plan(detail::completion<std::vector<start_plan>> done);
    void statistics(detail::completion<engine_statistics> done);
    void cluster(detail::completion<cluster_view> done);
    void redrive(std::string topic, detail::completion<redrive_result> done);

    std::shared_ptr<detail::engine_core> core_;
};

} // namespace pawl
