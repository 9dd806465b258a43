#pragma once

#include "pawl/log.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/span.hpp"
#include "pawl/time.hpp"
#include "pawl/trace.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

/// Options of an otlp_exporter. read_otlp_environment() reads them from variables.
struct otlp_options {
    /// Where requests are sent: "http://HOST[:PORT]/PATH", the same with https, or "unix:SOCKET"
    /// for the path /v1/traces of a Unix socket. Default: the port of a collector on this machine.
    std::string endpoint = "http://localhost:4318/v1/traces";

    /// Headers of each request, such as Authorization. They appear in no log. Default: none.
    std::vector<std::pair<std::string, std::string>> headers{};

    /// For https: see http::client_options::ca_file.
    std::string ca_file{};

    /// The attribute service.name of the resource. Default "unknown_service".
    std::string service_name = "unknown_service";

    /// Further attributes of the resource. Default: none.
    std::vector<std::pair<std::string, std::string>> resource_attributes{};

    /// Longest time of one request; see http::client_options::timeout. Above 0. Default 10 s.
    duration timeout = std::chrono::seconds{10};

    /// How spans are sent again that the collector has not taken: after the answers 429, 502, 503
    /// and 504, and when there was no answer. A Retry-After in seconds lengthens the wait, up to
    /// `max_interval`. `permanent` is not called. Default: 5 attempts, 1 s to 30 s apart.
    retry_policy retry{.initial = std::chrono::seconds{1},
                       .max_interval = std::chrono::seconds{30},
                       .max_attempts = 5};

    /// The most spans that wait to be sent; one more is dropped. At least 1. Default 2,048.
    std::size_t max_queue_spans = 2'048;

    /// The most memory of these spans, in bytes, estimated; a span beyond it is dropped. At
    /// least 1. Default 8 MiB.
    std::size_t max_queue_bytes = 8 * 1024 * 1024;

    /// The most spans in one request. When as many wait they are sent at once. 1 to
    /// `max_queue_spans`. Default 512.
    std::size_t max_batch_spans = 512;

    /// A request whose body has reached this size, in bytes, takes no further span. At least 1.
    /// Default 1 MiB.
    std::size_t max_batch_bytes = 1024 * 1024;

    /// Longest time that a span waits for others, to be sent with them. Not negative. Default 5 s.
    duration schedule_delay = std::chrono::seconds{5};

    /// Receives a warning when spans were not exported, at most once in `log_interval`. Empty: no
    /// log. Default: standard error, 1 min.
    log_sink log = log_to_stderr;
    duration log_interval = std::chrono::minutes{1};
};

/// What became of the spans that an otlp_exporter was given, since it was made.
struct otlp_statistics {
    std::uint64_t exported = 0; ///< taken by the collector
    std::uint64_t dropped = 0;  ///< not sent: the queue was full, or the exporter has stopped
    std::uint64_t failed = 0;   ///< rejected by the collector, or its attempts are used up
    std::size_t queued = 0;     ///< wait, or are being sent
};

/// Sends spans to a collector: OTLP over HTTP, in JSON.
///
/// Nothing waits for it: add() puts the span into a queue, or drops it when the queue is full. A
/// collector that is slow, hangs or is away costs spans and nothing else. One request is sent at a
/// time. While no span waits, the exporter has no work on its executor.
///
/// A request that was not answered may have been received: a span may reach the collector twice.
///
/// Delays and timeouts are measured in real time, whatever the clock of the engine.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class otlp_exporter final : public span_sink {
public:
    /// @param executor encodes and sends the spans, on a strand. At high rates give it a thread of
    /// its own, for example boost::asio::thread_pool{1}.
    ///
    /// Errors: throws definition_error, which names the option, its value and its range.
    otlp_exporter(boost::asio::any_io_executor executor, otlp_options options = {});

    /// Drops what has not been sent. A request that is under way is cancelled.
    ~otlp_exporter() override;

    bool has_room() noexcept override;
    void add(span finished) noexcept override;

    otlp_statistics statistics() const;

    /// Sends what waits, for at most `timeout`, and drops the rest. Spans that are added later are
    /// dropped.
    ///
    /// Completes: when nothing is sent any longer, on the caller's executor.
    ///
    /// Cancellation: none; the stop continues.
    boost::asio::awaitable<void> async_stop(any_duration timeout);

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

/// What the variables of OpenTelemetry say.
struct otlp_settings {
    bool is_disabled = false; ///< OTEL_SDK_DISABLED: make no exporter

    /// A variable names a collector: OTEL_EXPORTER_OTLP_ENDPOINT or
    /// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
    bool has_endpoint = false;

    otlp_options exporter{};

    /// For span_observer_options::policy and span_recording::policy.
    trace_policy policy{.new_trace_after = std::chrono::hours{1}};
};

/// The value of an environment variable; empty if it is not set.
using environment_reader = std::function<std::optional<std::string>(const std::string& name)>;

/// Replaces in `settings` what variables of the environment say, by the rules of OpenTelemetry. A
/// variable that is empty counts as not set.
///
/// | variable | value |
/// |---|---|
/// | `OTEL_SDK_DISABLED` | true or false |
/// | `OTEL_SERVICE_NAME` | otlp_options::service_name |
/// | `OTEL_RESOURCE_ATTRIBUTES` | "name=value,name=value", percent-encoded |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | a URL, to which /v1/traces is appended |
/// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | a URL, used as it is |
/// | `OTEL_EXPORTER_OTLP_HEADERS`, `…_TRACES_HEADERS` | as the resource attributes |
/// | `OTEL_EXPORTER_OTLP_PROTOCOL`, `…_TRACES_PROTOCOL` | http/json, or http/protobuf, instead of
/// which JSON is sent: collectors take both at one address |
/// | `OTEL_EXPORTER_OTLP_TIMEOUT`, `…_TRACES_TIMEOUT` | milliseconds, otlp_options::timeout |
/// | `OTEL_BSP_MAX_QUEUE_SIZE` | otlp_options::max_queue_spans |
/// | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | otlp_options::max_batch_spans |
/// | `OTEL_BSP_SCHEDULE_DELAY` | milliseconds, otlp_options::schedule_delay |
/// | `OTEL_TRACES_SAMPLER` | always_on, always_off, traceidratio, parentbased_always_on,
/// parentbased_always_off, parentbased_traceidratio |
/// | `OTEL_TRACES_SAMPLER_ARG` | of traceidratio: 0 to 1 |
///
/// Of two variables the one with TRACES in its name counts. Not read are variables of other
/// signals, of spans' limits, and of propagators: Pawl propagates `traceparent`.
///
/// Errors: throws definition_error for a value that cannot be used, which names the variable, the
/// value, and what is accepted.
///
/// @param variable Default: reads the environment of the process.
otlp_settings read_otlp_environment(otlp_settings settings = {}, environment_reader variable = {});

} // namespace pawl
