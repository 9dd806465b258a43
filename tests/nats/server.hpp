#pragma once

#include "nats/process.hpp"
#include "temporary_folder.hpp"

#include <cstdint>
#include <optional>
#include <string>

/// A NATS server with JetStream, whose files are in a temporary folder.
class nats_server {
public:
    nats_server();

    std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

    /// As a crash: its streams stay.
    void kill() { process_.reset(); }

    /// Completes when the server takes connections, on the port that it had.
    void start();

    void restart()
    {
        kill();
        start();
    }

private:
    temporary_folder folder_;
    std::uint16_t port_ = 0;
    std::optional<process> process_;
};
