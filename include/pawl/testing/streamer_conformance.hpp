#pragma once

#include "pawl/event_streamer.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// Makes a streamer whose topics have neither events nor consumers.
using streamer_factory = std::function<std::shared_ptr<event_streamer>()>;

/// A test of one rule of event_streamer. See conformance_check.
struct streamer_check {
    std::string name;
    std::function<void(const streamer_factory& make_streamer)> run;
};

/// The conformance suite of event_streamer, as store_conformance_checks(). A check waits up to 2 s
/// for an event.
std::vector<streamer_check> streamer_conformance_checks();

} // namespace pawl::testing
