#pragma once

#include "access.hpp"
#include "pawl/http/server.hpp"
#include "server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace order_processing {

/// @throws pawl::definition_error unless the service either has a URL or is mocked.
void check_service(const std::string& name, const std::string& url, bool mock);

/// Reads the files of tokens.
/// @throws pawl::definition_error that names the file, or the setting that is missing.
access_rules read_access_rules(const server_settings& settings);

/// The options of the server for customers, without the request handlers.
pawl::http::server_options listen_options(const server_settings& settings);

struct finding {
    std::string subject; ///< "the payment service https://pay.example"
    std::string problem; ///< empty: none
};

/// Checks everything that the server would use, without serving: settings, files of tokens and
/// certificates, the address, the database, the services. The database is opened as the server
/// opens it, which creates a missing one. Each service that is not mocked gets a GET
/// of its URL; any answer except 401 and 403 passes.
boost::asio::awaitable<std::vector<finding>> check_settings(boost::asio::any_io_executor executor,
                                                            server_settings settings);

} // namespace order_processing
