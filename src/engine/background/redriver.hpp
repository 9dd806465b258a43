#pragma once

#include "async/cancellable_call.hpp"
#include "engine/api/engine_parts.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// Tries each dead letter of one topic again, in order; see engine::async_redrive().
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class redriver : public std::enable_shared_from_this<redriver> {
public:
    /// Tries one letter. Throws if the attempt fails.
    using try_function = std::function<boost::asio::awaitable<void>(stream_event)>;

    /// @param attempt_timeout limit for each letter; zero for none.
    redriver(engine_parts& shared, std::string topic, try_function try_letter,
             duration attempt_timeout);

    /// Call it on strand().
    boost::asio::awaitable<redrive_result> run();

    /// Cancels the current attempt. Any thread.
    void interrupt();

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

    /// Whether the caller runs on the redriver's strand, as the functions that it calls do.
    bool runs_here() const { return async::runs_on(strand_); }

private:
    boost::asio::awaitable<std::exception_ptr> try_letter(stream_event letter);
    boost::asio::awaitable<void> finish_page(std::vector<stream_event> failed, std::uint64_t up_to);

    engine_parts& shared_;
    const std::string topic_;
    const try_function try_;
    const duration attempt_timeout_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    async::cancellable_call call_;
};

} // namespace pawl::engine_detail
