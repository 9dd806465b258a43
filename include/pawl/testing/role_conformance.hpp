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

/// A lock service, or a stand-in for one, in which nobody holds a role.
struct role_fixture {
    /// Makes one more scheduler of the same roles, as another process would. Required.
    std::function<std::shared_ptr<role_scheduler>()> make_scheduler;

    /// How long a role stays with a holder that does not renew it. Default 1 s.
    duration lease_duration = std::chrono::seconds{1};

    /// Moves time forward; completes when everything that is due by then has been done. Default:
    /// empty; the checks wait in real time, so choose a short lease.
    std::function<boost::asio::awaitable<void>(duration)> advance{};

    /// Cuts the scheduler that was made first off from the lock service, for good. Default: empty;
    /// the loss of a role by a partition is not checked.
    std::function<void()> partition_first{};
};

using role_fixture_factory = std::function<role_fixture()>;

/// A test of one rule of role_scheduler. See conformance_check.
struct role_check {
    std::string name;
    std::function<void(const role_fixture_factory& make_fixture)> run;
};

/// The conformance suite of role_scheduler, as store_conformance_checks().
std::vector<role_check> role_conformance_checks();

} // namespace pawl::testing
