#pragma once

#include "options.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace pawl_bench {

/// One kept-alive HTTP connection to 127.0.0.1, with nothing around Beast: what loads the order
/// server, and the client's side of the limit.
class bare_connection {
public:
    explicit bare_connection(boost::asio::any_io_executor executor);
    ~bare_connection();
    bare_connection(bare_connection&&) noexcept;
    bare_connection& operator=(bare_connection&&) = delete;

    boost::asio::awaitable<void> connect(std::uint16_t port);

    /// Sends a request, with a JSON body unless that is empty, and gives the answer's status.
    boost::asio::awaitable<int> exchange(std::string method, std::string target, std::string body);

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

/// The limit of everything over HTTP: `clients` connections in a loop of request and answer, both
/// of about 400 bytes, against a server that answers every request with the same. The clients have
/// a thread, the server has `server_threads`. Gives exchanges per second.
double drive_beast(std::size_t clients, std::size_t server_threads, const options& given);

} // namespace pawl_bench
