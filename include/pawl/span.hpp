#pragma once

#include "pawl/time.hpp"
#include "pawl/trace.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pawl {

/// The numbers of OTLP.
enum class span_kind : std::uint8_t {
    internal = 1,
    server = 2,
    client = 3,
    producer = 4,
    consumer = 5,
};

/// A named value of a span. `name` is a literal: it lives as long as the program.
struct span_attribute {
    std::string_view name;
    std::variant<std::string, std::int64_t, bool> value;
};

/// Something that happened during a span.
struct span_event {
    std::string_view name; ///< a literal
    time_point at;
    std::vector<span_attribute> attributes;
};

/// Another span that this one follows from; also of another trace.
struct span_link {
    trace_context target;
    std::vector<span_attribute> attributes;
};

/// A finished span, as OpenTelemetry defines it. Texts may hold any bytes.
struct span {
    trace_context context;
    std::array<std::uint8_t, 8> parent_id{}; ///< zero: it has no parent
    std::string name;
    span_kind kind = span_kind::internal;
    time_point began_at;
    time_point ended_at;
    std::vector<span_attribute> attributes;
    std::vector<span_event> events;
    std::uint32_t dropped_events = 0; ///< events that are missing because a limit was reached
    std::vector<span_link> links;
    bool failed = false; ///< the status of the span: an error, or unset
    std::string error{}; ///< the text of that status; may be empty
};

/// Receives finished spans. pawl/otlp.hpp sends them to a collector; derive from it to pass them to
/// another SDK.
///
/// Spans come in the order in which they end, only those of sampled traces, and each one once.
///
/// @par Thread Safety
/// Functions are called from any thread, also concurrently. They must return quickly: a handler or
/// an HTTP connection waits for them.
class span_sink {
public:
    virtual ~span_sink() = default;

    /// Asked before a span is made. False: there is no room, so the span is not made. The sink
    /// counts it as dropped.
    virtual bool has_room() noexcept { return true; }

    /// Takes a span.
    virtual void add(span finished) noexcept = 0;
};

/// Where spans go and which are made, for http::server_options and http::client_options.
struct span_recording {
    /// Default: null; no spans are made.
    std::shared_ptr<span_sink> sink{};

    /// Use the policy of the engine, so that a trace is sampled as a whole.
    trace_policy policy{};
};

} // namespace pawl
