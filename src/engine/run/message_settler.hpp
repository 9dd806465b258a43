#pragma once

#include "core/stimulus.hpp"
#include "engine/run/handler_context.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/run_commits.hpp"
#include "pawl/clock.hpp"
#include "pawl/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace pawl::engine_detail {

/// Settles messages of a run while its handler runs, so that their senders are notified on time: a
/// message when its time limit passes, which counts until its own handler begins, and at once a
/// command that a run with a running handler refuses.
class message_settler {
public:
    message_settler(loaded_run& run, run_commits& commits, const handler_context& handler)
        : run_(run), commits_(commits), handler_(handler)
    {
    }

    /// Waits for the first of the known messages to be settled. Called when a handler has begun,
    /// and when messages have arrived since.
    void schedule();

    /// The handler has ended. A message that is being settled then is still settled.
    void cancel_timer();

private:
    std::optional<time_point> settled_at(const message& waiting, bool is_first_command) const;
    std::pair<time_point, const message*> first_settled() const;
    void start_settling();
    boost::asio::awaitable<void> settle_messages();

    loaded_run& run_;
    run_commits& commits_;
    const handler_context& handler_;
    std::unique_ptr<timer> timer_;
    std::uint64_t waits_ = 0;  ///< counts waits, so that a late timer notices it
    bool is_settling_ = false; ///< settle_messages() is under way
};

} // namespace pawl::engine_detail
