#pragma once

#include "core/decide.hpp"
#include "core/stimulus.hpp"
#include "engine/run/handler_context.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/message_settler.hpp"
#include "engine/run/run_commits.hpp"
#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/observer.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::engine_detail {

/// One call of a handler: its time limit, its cancellation, and the stimulus that its result or
/// exception becomes.
///
/// One object serves all attempts of an activation, one after another, and keeps its timer.
class attempt {
public:
    /// Why a handler was cancelled.
    enum class cancel_reason { none, command, deadline, timeout, engine_stop, shard_lost };

    /// Replaces a run's activation when the handler ignores its cancellation.
    class owner {
    public:
        virtual void abandon_attempt(cancel_reason reason) = 0;

    protected:
        ~owner() = default;
    };

    attempt(loaded_run& run, run_commits& commits, handler_context& lent, message_settler& settler,
            owner& holder)
        : run_(run), commits_(commits), context_(lent), settler_(settler), owner_(holder)
    {
    }

    /// Calls the handler that the action names. Empty when nothing follows from the call: it was
    /// cancelled for something else that the run does next, or the run was left to a newer program.
    boost::asio::awaitable<std::optional<core::stimulus>> run(core::action next);

    /// Cancels the handler, if one is running and has not been cancelled yet.
    void cancel(cancel_reason reason);

    /// The failure of a handler that has been cancelled for its time limit.
    core::handler_failed timeout_failure() const;

private:
    duration limit_of(core::action next) const;
    boost::asio::awaitable<detail::next_value> call_handler(core::action next);
    std::string_view present_payload(const message& called, std::string& upgraded) const;
    core::stimulus returned(detail::next_value value);
    core::stimulus skipped(core::handler_returned result);
    core::handler_failed failed(const std::exception_ptr& failure);
    std::optional<core::stimulus> cancelled();
    bool is_caused_by_stop(const std::exception_ptr& failure) const;
    bool is_permanent(const std::exception_ptr& failure) const;
    std::string handler_name() const;
    void report(handler_result result, std::string_view error = {}) const;

    void start_limit(duration limit);
    void wait_for_limit();
    void on_limit(std::uint64_t serial, duration waited);
    void on_grace_elapsed(std::uint64_t serial);
    bool obeys_deadlines() const;

    loaded_run& run_;
    run_commits& commits_;
    handler_context& context_;
    message_settler& settler_;
    owner& owner_;
    cancel_reason cancel_reason_ = cancel_reason::none;
    duration limit_left_{}; ///< max() when there is no limit
    duration grace_left_{}; ///< of a callback's handler, before a deadline cancels it
    std::unique_ptr<timer> timer_;
};

/// The handler that an action calls.
core::source source_of(core::action next, const core::inbox& inbox);

} // namespace pawl::engine_detail
