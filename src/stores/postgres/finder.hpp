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

/// Reads runs by their ids. One statement is on its way at a time, and takes all that were asked
/// for while the one before it was: alone a run is read at once, under load many are read together.
class finder : public std::enable_shared_from_this<finder> {
public:
    finder(boost::asio::any_io_executor executor, std::shared_ptr<pool> readers,
           std::shared_ptr<const queries> statements);

    /// From any executor; completes on the caller's. Throws error.
    boost::asio::awaitable<std::optional<record>> find(run_id id);

private:
    /// A run that somebody waits for, in the frame of the coroutine that waits.
    struct wanted {
        run_id id;
        std::optional<record> found;
        std::exception_ptr failure;
        boost::asio::any_io_executor executor;
        std::optional<boost::asio::any_completion_handler<void()>> done;
    };

    struct enqueue;

    void submit(wanted& run);
    std::vector<wanted*> take();
    static boost::asio::awaitable<void> ask(std::shared_ptr<finder> self);
    static void finish(wanted& run);
    boost::asio::awaitable<bool> read(std::span<wanted* const> runs);
    boost::asio::awaitable<void> fill(std::span<wanted* const> runs);

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<pool> readers_;
    const std::shared_ptr<const queries> statements_;
    std::mutex mutex_;
    std::vector<wanted*> waiting_;
    bool is_asking_ = false;
};

} // namespace pawl::postgres
