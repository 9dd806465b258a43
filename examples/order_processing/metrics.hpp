#pragma once

#include "pawl/http/server.hpp"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <string_view>

namespace order_processing {

/// What the order server counts. The number of counters is bounded: no label is what a client
/// sends.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class metrics {
public:
    metrics();

    void order_accepted() { accepted_.Increment(); }
    void order_ended(std::string_view status);
    void order_paused() { paused_.Increment(); }
    void request_unsent() { unsent_.Increment(); }

    /// Counts an answer, and its time from the last byte of the request.
    void answered(const pawl::http::answer_record& answer);

    /// For metrics of others, such as the engine's.
    const std::shared_ptr<prometheus::Registry>& registry() const noexcept { return registry_; }

    /// All of the registry, in Prometheus's text format, version 0.0.4.
    std::string text() const;

    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
    std::shared_ptr<prometheus::Registry> registry_;
    prometheus::Counter& accepted_;
    prometheus::Counter& paused_;
    prometheus::Counter& unsent_;
    prometheus::Family<prometheus::Counter>& ended_;
    prometheus::Family<prometheus::Counter>& requests_;
    prometheus::Family<prometheus::Counter>& refused_;
    prometheus::Family<prometheus::Histogram>& seconds_;
};

} // namespace order_processing
