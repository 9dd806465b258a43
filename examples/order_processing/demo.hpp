#pragma once

#include "server.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <iosfwd>

namespace order_processing {

/// Submits the three demonstration orders to the server over HTTP, shows each transition as it
/// happens, then a table, and compares the final orders and the ledgers with the expected ones.
/// Orders that are already in the database are awaited and compared as well.
///
/// Completes with true when everything is as expected. Call it on a strand.
boost::asio::awaitable<bool> run_demo(boost::asio::any_io_executor executor,
                                      const order_server& server, std::ostream& out);

} // namespace order_processing
