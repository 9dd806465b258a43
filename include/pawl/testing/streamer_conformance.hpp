#pragma once

#include "pawl/event_streamer.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// Makes a streamer whose topics have no events and no consumers.
using streamer_factory = std::function<std::shared_ptr<event_streamer>()>;

/// One rule of the contract of event_streamer, as a test. See conformance_check.
struct streamer_check {
    std::string name;
    std::function<void(const streamer_factory& make_streamer)> run;
};

/// The whole contract, for a test framework to register: one test case a check. A streamer of your
/// own conforms when every check passes.
std::vector<streamer_check> streamer_conformance_checks();

} // namespace pawl::testing
