#pragma once

#include "pawl/http/client.hpp"
#include "pawl/http/message.hpp"
#include "pawl/span.hpp"
#include "pawl/time.hpp"
#include "pawl/trace.hpp"

#include <string>
#include <string_view>

namespace pawl::http::detail {

/// The span of one request at a server or a client. It exists while the request is under way, and
/// is recorded when it ends.
///
/// Attributes: the conventions of OpenTelemetry for HTTP, without paths and queries, which name
/// customers.
class http_span {
public:
    /// At a server: a child of the request's traceparent, which becomes this span, so that what the
    /// handler does belongs to it.
    void begin(const span_recording& recording, request& message);

    /// At a client: as at a server.
    void begin(const span_recording& recording, client_request& message);

    /// Has no effect if begin() was not called since the last end.
    void end_at_server(const span_recording& recording, std::string_view method,
                       std::string_view route, bool is_secure, int status);
    void end_at_client(const span_recording& recording, std::string_view host, std::uint16_t port,
                       int status, std::string_view problem);

private:
    std::string begin(const span_recording& recording, std::string_view header);
    bool take(const span_recording& recording);
    span make(span_kind kind, std::string_view method) const;

    trace_context context_;
    trace_context parent_;
    time_point began_at_;
    std::string method_;
    bool is_open_ = false;
};

} // namespace pawl::http::detail
