#pragma once

#include "pawl/log.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>

namespace pawl::engine_detail {

/// Counts the coroutines that an engine has started, so that a stop can wait for the last of them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class gate {
public:
    gate(boost::asio::any_io_executor executor, log_sink log)
        : executor_(std::move(executor)), log_(std::move(log))
    {
    }

    /// Starts `work` on `executor`. An exception that escapes it is a defect of Pawl: it is logged.
    /// `slot` cancels it; see activation for the only use.
    void spawn(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> work,
               boost::asio::cancellation_slot slot = {});

    /// Calls `done` once nothing is left. One call at a time.
    void when_empty(boost::asio::any_completion_handler<void()> done);

private:
    void leave(const std::exception_ptr& escaped);

    const boost::asio::any_io_executor executor_;
    const log_sink log_;
    std::mutex mutex_;
    std::size_t inside_ = 0;
    std::optional<boost::asio::any_completion_handler<void()>> waiting_;
};

} // namespace pawl::engine_detail
