#pragma once

#include "pawl/message.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"
#include "pawl/trace.hpp"

#include <cstddef>
#include <cstdint>
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

/// One attempt of a step, callback, timeout, hook or connector.
struct handler_report {
    std::string_view workflow;

    /// The handler, by a name from a bounded set, fit for a metric label: "<status>-step",
    /// "<status>-callback-<name>", "<status>-timeout" or "<status>-timeout-<name>", "<event>-hook",
    /// "connector-<name>".
    std::string_view process;

    run_id run;
    std::string_view foreign_id;
    int attempt = 1; ///< from 1
    duration took{}; ///< on the engine's clock
    handler_result result = handler_result::returned;
    std::string_view error;    ///< of a failed attempt
    trace_context span;        ///< the attempt's own; see run::trace_parent()
    trace_context parent_span; ///< of the run's trigger; its span id is zero if it had none
};

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
/// other effect. Views are valid during the call only. pawl/prometheus.hpp has a ready-made
/// observer.
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
};

} // namespace pawl
