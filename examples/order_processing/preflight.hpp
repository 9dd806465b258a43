#pragma once

#include "access.hpp"
#include "pawl/http/server.hpp"
#include "server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

namespace order_processing {

/// @throws pawl::definition_error unless the service has a URL or is a mock one, and not both.
void check_service(const std::string& name, const std::string& url, bool mock);

/// Reads the files of tokens.
/// @throws pawl::definition_error that names the file, or the setting that is missing.
access_rules read_access_rules(const server_settings& settings);

/// Where and how the server listens for customers, but for what handles the requests.
pawl::http::server_options listen_options(const server_settings& settings);

struct finding {
    std::string subject; ///< "the payment service https://pay.example"
    std::string problem; ///< empty: none
};

/// Looks at everything that the server would use, without serving: settings, files of tokens and
/// certificates, the address, the database, the services. The database is opened as the server
/// opens it, which makes a new one where none is. Each service that is not a mock one is sent a GET
/// of its URL; any answer but 401 and 403 will do.
boost::asio::awaitable<std::vector<finding>> check_settings(boost::asio::any_io_executor executor,
                                                            server_settings settings);

} // namespace order_processing
