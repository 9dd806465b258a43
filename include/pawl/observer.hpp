#pragma once

#include "pawl/message.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"
#include "pawl/trace.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pawl {

/// How an attempt of a handler ended.
enum class handler_result : std::uint8_t {
    returned,    ///< with any outcome but skip()
    skipped,     ///< with skip()
    failed,      ///< exception, time limit, or an object that cannot be encoded
    interrupted, ///< by a command, a deadline, a stop or the loss of the shard
    given_up,    ///< a hook or connector failed, and its attempts are used up
};

/// What a handler is called for.
enum class handler_kind : std::uint8_t { step, callback, timeout, hook, connector };

/// Something that an attempt has stored before it ended.
struct saved_progress {
    std::string effect; ///< the name of a recorded effect; empty: a checkpoint
    time_point at;
};

/// One attempt of a step, callback, timeout, hook or connector.
struct handler_report {
    handler_kind kind = handler_kind::step;
    std::string_view workflow;

    /// The handler, by a name from a bounded set, fit for a metric label: "<status>-step",
    /// "<status>-callback-<name>", "<status>-timeout" or "<status>-timeout-<name>", "<event>-hook",
    /// "connector-<name>".
    std::string_view process;

    run_id run;
    std::string_view foreign_id;
    int attempt = 1;     ///< from 1
    time_point began_at; ///< on the engine's clock
    duration took{};     ///< on the engine's clock
    handler_result result = handler_result::returned;
    std::string_view error; ///< of a failed attempt
    bool timed_out = false; ///< it failed because it took longer than its limit

    /// The attempt's own; see run::trace_parent().
    trace_context span;

    /// The start of the run, see run_span(); of a connector, what the event says. Its span id is
    /// zero if the attempt has no parent: the trace begins with it.
    trace_context parent_span;

    /// The start of the run, also if that is in another trace: see trace_policy::new_trace_after.
    /// Empty for a connector.
    trace_context start_span;

    std::string_view event_id; ///< of a connector

    /// What the attempt of a step, callback or timeout has stored, in this order: at most
    /// max_saved_progress entries, and the number of those that are missing.
    std::span<const saved_progress> saved;
    std::uint32_t saved_omitted = 0;

    static constexpr std::size_t max_saved_progress = 64;
};

/// The span of the start of a run, which is the parent of the spans of its attempts. It depends on
/// the record only, so that all engines know it.
///
/// The trace is that of record::trace_parent. If that is empty, the trace id is a hash of the run
/// id.
trace_context run_span(const record& run, const trace_policy& policy);

/// Why something that was begun was discarded. None of these is an error.
enum class discard_reason : std::uint8_t {
    skip_returned,   ///< a handler returned skip()
    interrupted,     ///< a handler was cancelled
    conflict,        ///< a late transition: the run had changed meanwhile
    not_owner,       ///< a late transition: another engine owns the run's shard
    message_refused, ///< a command that the run's state does not allow
    message_expired, ///< a callback that had expired
};

/// A short human-readable text, such as "skip returned".
std::string_view to_string(discard_reason reason) noexcept;

/// The state of an engine, for each of its workflows.
enum class engine_state : std::uint8_t { stopped = 1, running = 2, starting = 3 };

/// Watches an engine: for metrics, traces and audits. Derive from it and override what you need.
///
/// Functions are called inside the engine, from any thread of its executor, also concurrently. They
/// must return quickly and must not call the engine. An exception is logged as an error and has no
/// other effect. Views are valid during the call only. Ready-made observers are in
/// pawl/prometheus.hpp (metrics) and pawl/span_observer.hpp (traces).
class observer {
public:
    virtual ~observer() = default;

    /// The store has accepted a transition.
    virtual void committed(const transition&) {}

    /// An attempt of a handler has ended.
    virtual void handler_ended(const handler_report&) {}

    /// Something was discarded. `process` is as in handler_report, or "<status>-commit" for a
    /// transition, or "<status>-inbox" for a message.
    virtual void discarded(std::string_view /*workflow*/, std::string_view /*process*/,
                           discard_reason)
    {
    }

    /// A message was settled, `age` after it was sent.
    virtual void message_settled(std::string_view /*workflow*/, message_kind, message_outcome,
                                 duration /*age*/)
    {
    }

    /// The store has applied a batch of changes, or failed as a whole.
    virtual void batch_applied(std::size_t /*changes*/, duration /*took*/, bool /*failed*/) {}

    /// The state of the engine has changed. Called for each of its workflows.
    virtual void engine_changed(std::string_view /*workflow*/, engine_state) {}

    /// How the spans of runs are sampled and divided into traces. Called once, when the engine is
    /// made.
    virtual trace_policy tracing() const { return {}; }
};

} // namespace pawl
