#pragma once

#include "pawl/role_scheduler.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::testing {

/// Roles that nobody holds, and what a check does with those who ask for them.
struct role_fixture {
    /// Gives one more scheduler of the same roles, as another process would have. Required.
    std::function<std::shared_ptr<role_scheduler>()> make_scheduler;

    /// How long a role stays with a holder that is not heard of any more.
    duration lease_duration = std::chrono::seconds{1};

    /// Lets so much time pass, and completes when what is due then has been done. Empty: time
    /// passes by itself; choose a short lease then.
    std::function<boost::asio::awaitable<void>(duration)> advance{};

    /// From now on the scheduler that was joined first reaches nobody. Empty: what is lost then is
    /// not checked.
    std::function<void()> partition_first{};
};

using role_fixture_factory = std::function<role_fixture()>;

/// One rule of the contract of role_scheduler, as a test. See conformance_check.
struct role_check {
    std::string name;
    std::function<void(const role_fixture_factory& make_fixture)> run;
};

/// The whole contract, for a test framework to register: one test case a check. A scheduler of your
/// own conforms when every check passes.
std::vector<role_check> role_conformance_checks();

} // namespace pawl::testing
