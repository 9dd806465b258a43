#pragma once

#include "order_processing/child.hpp"
#include "service_clients.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace chaos {

/// The program mock_services on a file, which can be killed and started again where it was.
class services_program {
public:
    services_program(std::string program, std::string file);

    const order_processing::service_urls& urls() const noexcept { return urls_; }
    order_processing::testing::child& process() noexcept { return *process_; }

    /// With SIGKILL. Its ports stay the same unless somebody has taken one meanwhile.
    void kill_and_start();

private:
    void start();

    std::string program_;
    std::string file_;
    order_processing::service_urls urls_;
    std::unique_ptr<order_processing::testing::child> process_;
};

/// A started order_server. @throws std::runtime_error with what it says when it does not start.
class order_program {
public:
    /// @param more Further flags.
    order_program(const std::string& program, const std::string& db,
                  const order_processing::service_urls& services,
                  std::vector<std::string> more = {});

    const std::string& url() const noexcept { return url_; }
    order_processing::testing::child& process() noexcept { return process_; }

    /// Waits for its end, which has to come within the time: else it is killed.
    int end_within(std::chrono::seconds limit);

private:
    order_processing::testing::child process_;
    std::string url_;
};

} // namespace chaos
