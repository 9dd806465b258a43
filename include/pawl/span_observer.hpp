#pragma once

#include "pawl/observer.hpp"
#include "pawl/span.hpp"
#include "pawl/trace.hpp"

#include <chrono>
#include <cstddef>
#include <memory>

namespace pawl {

struct span_observer_options {
    /// Which traces are sampled, and after which time a run continues in another trace. `ratio` is
    /// 0 to 1; `new_trace_after` is not negative. Default: all that begin here and those that
    /// callers sample; 1 hour.
    trace_policy policy{.new_trace_after = std::chrono::hours{1}};

    /// Spans have the foreign ids of runs and the ids of connected events, which often name a
    /// person. Default false.
    bool foreign_ids = false;

    /// Failed spans have the text of the error, which may quote what the handler has thrown.
    /// Default true.
    bool error_texts = true;

    /// The most runs whose last failed attempt is remembered, so that the next attempt has a link
    /// to it. When there are more, all are forgotten, and those links are missing. 0: no such
    /// links. Default 4,096.
    std::size_t max_remembered_failures = 4'096;

    /// Another observer, to which all calls are forwarded. Default: none.
    std::shared_ptr<observer> next{};
};

/// Makes an observer that turns what an engine does into spans: pass it as
/// engine_options::observer.
///
/// No span is open while a run waits. A run has:
/// - a span of no duration when it starts, "<workflow> start". It is a child of the span of
///   trigger_options::trace_parent, or the root of a new trace;
/// - a span for each attempt of a handler, "<workflow> <handler>", when the attempt ends. It is a
///   child of the start. Its context is what run::trace_parent() returns, so that requests and
///   children of the run are its children;
/// - a span of no duration when it ends, "<workflow> end".
///
/// What happens later than `policy.new_trace_after` after the start of the run is in another trace,
/// without a parent and with a link to the start. A retry has a link to the attempt that failed
/// before it. Effects and checkpoints that an attempt has stored are its events.
///
/// The start is recorded by the engine that accepts the trigger. If several processes use a store,
/// all of them need a sink, or the spans of some runs have a parent that is missing.
///
/// A link from the handler of a callback to its sender is not made: messages do not store a trace.
/// The attributes and events are listed in src/otlp/README.md. None of them holds an object, a
/// payload or the value of an effect.
///
/// Errors: throws definition_error for a null sink or an option out of its range.
std::shared_ptr<observer> make_span_observer(std::shared_ptr<span_sink> sink,
                                             span_observer_options options = {});

} // namespace pawl
