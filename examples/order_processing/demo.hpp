#pragma once

#include "server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <iosfwd>

namespace order_processing {

/// Submits the seed's three orders to the server over HTTP, shows each transition as it happens,
/// then a table, and compares the ends and the ledgers with what they have to be. Orders that are
/// in the database already are waited for and compared as well.
///
/// Completes with true when everything is as it has to be. Call it on a strand.
boost::asio::awaitable<bool> run_demo(boost::asio::any_io_executor executor,
                                      const order_server& server, std::ostream& out);

} // namespace order_processing
