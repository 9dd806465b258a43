#pragma once

#include "pawl/otlp.hpp"
#include "pawl/span.hpp"

#include <cstddef>
#include <span>
#include <string>

namespace pawl::otlp {

/// Writes requests of the OTLP trace service as JSON.
/// Source: opentelemetry-proto, trace/v1/trace.proto; the OTLP specification, "JSON Protobuf
/// Encoding".
class span_encoder {
public:
    explicit span_encoder(const otlp_options& options);

    /// Writes the request for the first spans, as many as fit, and at least one. Returns how many.
    /// Of a text that is not UTF-8, each byte that is not ASCII becomes U+FFFD.
    std::size_t encode(std::span<const span> spans, std::string& body) const;

private:
    const std::size_t max_bytes_;
    std::string beginning_; ///< up to the spans: the resource and the scope
};

} // namespace pawl::otlp
