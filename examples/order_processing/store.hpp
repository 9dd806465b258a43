#pragma once

#include "pawl/record_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace order_processing {

/// Whether this names a database in PostgreSQL, and not a file.
bool is_postgres(std::string_view db);

/// Opens the database of the orders: a URI such as postgresql://user@host/orders, or SQLite's file.
///
/// @throws pawl::error when it cannot be opened.
std::shared_ptr<pawl::record_store> open_store(boost::asio::any_io_executor executor,
                                               const std::string& db);

} // namespace order_processing
