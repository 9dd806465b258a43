#include "nats/server.hpp"

#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

std::uint16_t free_port()
{
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (probe < 0 || ::bind(probe, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error{"no free port was found"};
    ::close(probe);
    return ntohs(address.sin_port);
}

} // namespace

/// Another program may take the port before the server does; then another port is tried.
nats_server::nats_server()
{
    constexpr int tries = 5;
    for (int failures = 0; !process_; ++failures) {
        port_ = free_port();
        try {
            start();
        } catch (const std::runtime_error&) {
            process_.reset();
            if (failures + 1 == tries)
                throw;
        }
    }
}

void nats_server::start()
{
    process_.emplace(std::vector<std::string>{PAWL_NATS_SERVER, "-a", "127.0.0.1", "-p",
                                              std::to_string(port_), "-js", "-sd",
                                              folder_.file("streams")});
    process_->wait_for("Server is ready");
}
