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
    returned,    ///< with anything but skip()
    skipped,     ///< with skip()
    failed,      ///< it threw, took too long, or left an object that cannot be written
    interrupted, ///< by a command, a deadline or a stop; what it did is forgotten
    given_up,    ///< a hook or a connector that failed for the last time
};

/// One attempt of a step, callback, timeout, hook or connector.
struct handler_report {
    std::string_view workflow;

    /// Which handler, by a name of which there are as many as are declared:
    /// "<status>-step", "<status>-callback-<name>", "<status>-timeout-<number from 1>",
    /// "<event>-hook", "connector-<name>".
    std::string_view process;

    run_id run;
    std::string_view foreign_id;
    int attempt = 1;
    duration took{}; ///< on the engine's clock
    handler_result result = handler_result::returned;
    std::string_view error;    ///< of a failed attempt
    trace_context span;        ///< the attempt's own; see run::trace_parent()
    trace_context parent_span; ///< of the run's trigger; its span id is zero when there was none
};

/// Why something that was begun came to nothing; none of these is an error.
enum class discard_reason : std::uint8_t {
    skip_returned,   ///< a handler returned skip()
    interrupted,     ///< a handler was interrupted
    conflict,        ///< a result came too late: somebody else had changed the run
    not_owner,       ///< a result came too late: another engine has the run's shard
    message_refused, ///< a command that the run's state does not allow
    message_expired, ///< a message whose time limit had passed
};

std::string_view to_string(discard_reason reason) noexcept;

enum class engine_state : std::uint8_t { stopped = 1, running = 2, starting = 3 };

/// Watches an engine: for metrics, traces, audits. Derive from it and override what you need.
///
/// Called inside the engine, from any thread of its executor, also from several at once: be quick,
/// and do not call the engine. What a function throws is logged as an error and has no other
/// effect. Views are valid during the call only. See pawl/prometheus.hpp for one that is ready to
/// use.
class observer {
public:
    virtual ~observer() = default;

    /// A transition has been accepted by the store.
    virtual void committed(const transition&) {}

    virtual void handler_ended(const handler_report&) {}

    virtual void discarded(std::string_view /*workflow*/, std::string_view /*process*/,
                           discard_reason)
    {
    }

    /// A message was settled, so long after it was sent.
    virtual void message_settled(std::string_view /*workflow*/, message_kind, message_outcome,
                                 duration /*age*/)
    {
    }

    /// A batch of changes was applied by the store, or failed as a whole.
    virtual void batch_applied(std::size_t /*changes*/, duration /*took*/, bool /*failed*/) {}

    /// For each workflow, when the engine's state changes.
    virtual void engine_changed(std::string_view /*workflow*/, engine_state) {}
};

} // namespace pawl
