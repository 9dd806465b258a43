#pragma once

#include "pawl/postgres.hpp"
#include "postgres/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The server of this test program, begun when it is first asked for.
postgres_server& server();

/// What the stores of this test program run on: two threads beside the test's own.
boost::asio::any_io_executor backend();

/// A schema that no other test uses.
std::string fresh_schema();

/// A store in a fresh schema.
std::shared_ptr<pawl::record_store> open_fresh(pawl::postgres_options options = {});

/// Statements of the superuser; the first column of the first row, if any.
std::string ask(const std::string& sql, const std::string& database = "postgres");
