#pragma once

#include "pawl/postgres.hpp"
#include "postgres/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <libpq-fe.h>

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

/// A session of the superuser.
class session {
public:
    explicit session(const std::string& database = "postgres");

    /// Statements; the first column of the first row, if any.
    std::string ask(const std::string& sql);

private:
    std::unique_ptr<PGconn, decltype(&PQfinish)> link_;
};

/// The same in a session of its own.
std::string ask(const std::string& sql, const std::string& database = "postgres");
