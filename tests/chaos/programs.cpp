#include "chaos/programs.hpp"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace chaos {

using order_processing::service_urls;
using order_processing::testing::child;

namespace {

/// The address in "WHO listening on URL"; "" when the program said something else, or nothing.
std::string read_url(child& from)
{
    const auto line = from.read_line();
    const auto at = line.find(" listening on ");
    return at == std::string::npos ? "" : line.substr(at + 14);
}

std::string port_of(const std::string& url)
{
    return url.empty() ? "0" : url.substr(url.rfind(':') + 1);
}

} // namespace

services_program::services_program(std::string program, std::string file)
    : program_(std::move(program)), file_(std::move(file))
{
    start();
}

void services_program::start()
{
    for (int attempt = 0; attempt < 2; ++attempt) {
        process_ = std::make_unique<child>(
            program_,
            std::vector<std::string>{"--db", file_, "--payment-port", port_of(urls_.payment),
                                     "--inventory-port", port_of(urls_.inventory),
                                     "--shipping-port", port_of(urls_.shipping)});
        urls_ = {read_url(*process_), read_url(*process_), read_url(*process_)};
        if (!urls_.shipping.empty())
            return;
        urls_ = {};
    }
    process_->wait();
    throw std::runtime_error("the services do not start: " + process_->errors);
}

void services_program::kill_and_start()
{
    process_->signal(SIGKILL);
    process_->wait();
    start();
}

namespace {

std::vector<std::string> flags_of(const std::string& db, const service_urls& services,
                                  const std::vector<std::string>& more)
{
    std::vector<std::string> flags{"--serve",
                                   "--db",
                                   db,
                                   "--payment-backoff",
                                   "10ms",
                                   "--request-timeout",
                                   "1s",
                                   "--drain",
                                   "2s",
                                   "--payment-url",
                                   services.payment,
                                   "--inventory-url",
                                   services.inventory,
                                   "--shipping-url",
                                   services.shipping,
                                   "--log-level",
                                   "error"};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
}

} // namespace

order_program::order_program(const std::string& program, const std::string& db,
                             const service_urls& services, std::vector<std::string> more)
    : process_(program, flags_of(db, services, more))
{
    for (int line = 0; line < 4; ++line)
        url_ = read_url(process_);
    if (!url_.empty())
        return;
    process_.wait();
    throw std::runtime_error("the order server does not start: " + process_.errors);
}

int order_program::end_within(std::chrono::seconds limit)
{
    std::mutex mutex;
    std::condition_variable_any ended;
    std::jthread watch{[&](const std::stop_token& stop) {
        std::unique_lock lock{mutex};
        if (!ended.wait_for(lock, stop, limit, [] { return false; }) && !stop.stop_requested())
            process_.signal(SIGKILL);
    }};
    const int status = process_.wait();
    watch.request_stop();
    return status;
}

} // namespace chaos
