#pragma once

#include "cli/command.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <stdexcept>
#include <string>

namespace pawl::cli {

/// An answer of the admin API.
struct api_answer {
    int status = 0;
    std::string body;
};

/// Thrown when Pawl cannot be reached; what() is a sentence.
class unreachable : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The way to the admin API: over HTTP, or the API itself over a database that is opened.
class transport {
public:
    virtual ~transport() = default;

    /// Sends a request whose target is below PREFIX/api/v1. Throws unreachable.
    virtual boost::asio::awaitable<api_answer> send(http::client_request request) = 0;

    /// Ends what send() began. Call it once, last.
    virtual boost::asio::awaitable<void> close() = 0;
};

/// Errors: throws definition_error for a malformed URL; the store's errors, as unreachable.
std::unique_ptr<transport> make_transport(boost::asio::any_io_executor executor, endpoint where);

} // namespace pawl::cli
