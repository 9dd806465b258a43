#pragma once

#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

namespace pawl::postgres {

/// Reads runs by their ids. One statement runs at a time and reads all runs that were requested
/// during the one before: a single run is read at once, under load many are read together.
class finder : public std::enable_shared_from_this<finder> {
public:
    finder(boost::asio::any_io_executor executor, std::shared_ptr<pool> readers,
           std::shared_ptr<const queries> statements);

    /// May be called from any executor; completes on the caller's. Throws error.
    boost::asio::awaitable<std::optional<record>> find(run_id id);

private:
    /// A request in the frame of the coroutine that waits for it.
    struct lookup {
        run_id id;
        std::optional<record> found;
        std::exception_ptr failure;
        boost::asio::any_io_executor executor;
        std::optional<boost::asio::any_completion_handler<void()>> done;
    };

    struct enqueue;

    void submit(lookup& run);
    std::vector<lookup*> take_waiting();
    static boost::asio::awaitable<void> read_waiting(std::shared_ptr<finder> self);
    static void finish(lookup& run);
    boost::asio::awaitable<bool> read_runs(std::span<lookup* const> runs);
    boost::asio::awaitable<void> query_runs(std::span<lookup* const> runs);

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<pool> readers_;
    const std::shared_ptr<const queries> statements_;
    std::mutex mutex_;
    std::vector<lookup*> waiting_;
    bool is_reading_ = false;
};

} // namespace pawl::postgres
