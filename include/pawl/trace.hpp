#pragma once

#include "pawl/time.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// A position in a distributed trace, as the W3C recommendation "Trace Context" writes it in the
/// header `traceparent`: "00-<trace id>-<span id>-<flags>".
struct trace_context {
    std::array<std::uint8_t, 16> trace_id{};
    std::array<std::uint8_t, 8> span_id{};
    std::uint8_t flags = 0; ///< 1: sampled

    /// Reads the value of a header; empty if it is not valid. Of a version after 00, the known part
    /// is read.
    static std::optional<trace_context> parse(std::string_view header) noexcept;

    friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// Returns the value of the header, in version 00.
std::string to_string(const trace_context& context);

/// Which traces are sampled when no other system has decided it.
enum class trace_sampler : std::uint8_t {
    always_on,
    always_off,
    ratio, ///< a part of the traces, by their trace id; see trace_policy::ratio
};

/// Which traces are sampled, and how the spans of a long run are divided into traces.
///
/// The decision is the sampled flag of each trace_context that Pawl makes, and so of the header
/// `traceparent` that it sends. Spans of traces that are not sampled are not recorded.
struct trace_policy {
    trace_sampler sampler = trace_sampler::always_on;

    /// With trace_sampler::ratio: the part of the traces that is sampled, 0 to 1. A trace is
    /// sampled if the last 63 bits of its id, as a fraction, are less than this: the rule of the
    /// SDKs of OpenTelemetry, so that services with the same ratio sample the same traces.
    /// Default 1.
    double ratio = 1;

    /// A trace that another system has begun is sampled if its `traceparent` says so, and `sampler`
    /// decides only for the traces that begin here. Default true.
    bool parent_based = true;

    /// What a run does this long after its start belongs to another trace, with a link to the start
    /// of the run: for each further period a trace of its own. So no trace lasts longer, however
    /// long a run waits. 0: all is in one trace. Default 0.
    duration new_trace_after{};
};

/// Whether a trace is sampled. `parent` is the context that another system has sent, if there is
/// one.
bool is_sampled(const trace_context& trace, const std::optional<trace_context>& parent,
                const trace_policy& policy) noexcept;

/// A new span of the trace of `parent`, or of a new trace if that is empty. Its ids are random; its
/// flag is the decision of the policy.
///
/// @par Thread Safety
/// Safe.
trace_context make_span(const std::optional<trace_context>& parent, const trace_policy& policy);

} // namespace pawl
