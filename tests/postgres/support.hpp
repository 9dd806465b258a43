#pragma once

#include "pawl/postgres.hpp"
#include "postgres/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <libpq-fe.h>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// The server of this test program, begun when it is first asked for.
postgres_server& server();

/// What the stores of this test program run on: two threads beside the test's own.
boost::asio::any_io_executor backend();

/// A schema that no other test uses.
std::string fresh_schema();

/// What a store has told its log.
class collected_log {
public:
    /// For postgres_options::log; may outlive this.
    pawl::log_sink sink() const;

    /// How many lines have these words in them.
    std::size_t count(const std::string& words) const;

    /// Until there is one; false when there is none after a minute.
    bool wait_for(const std::string& words) const;

private:
    struct collected {
        std::mutex mutex;
        std::condition_variable changed;
        std::vector<std::string> lines;
    };

    std::shared_ptr<collected> all_ = std::make_shared<collected>();
};

/// A store in a fresh schema.
std::shared_ptr<pawl::record_store> open_fresh(pawl::postgres_options options = {});

/// A session of the superuser.
class session {
public:
    explicit session(const std::string& database = "postgres");

    /// Statements; the first column of the first row, if any.
    std::string ask(const std::string& sql);

    /// The rows of the last of these statements; NULL is empty.
    std::vector<std::vector<std::string>> rows(const std::string& sql);

private:
    using answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

    answer execute(const std::string& sql);

    std::unique_ptr<PGconn, decltype(&PQfinish)> link_;
};

/// The same in a session of its own.
std::string ask(const std::string& sql, const std::string& database = "postgres");

/// Takes a schema back to version 2: removes what later versions have added.
void return_to_second_version(const std::string& schema);
