#pragma once

#include "core/decide.hpp"
#include "core/stimulus.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/attempt.hpp"
#include "engine/run/handler_admission.hpp"
#include "engine/run/handler_context.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/message_settler.hpp"
#include "engine/run/run_commits.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pawl::engine_detail {

/// The loop of one run while it is in memory: on a strand, it does what the run needs, commits the
/// result, and continues, until the run must wait.
///
/// It decides nothing: core::next_action says what is next, core::decide what it leads to. Its
/// parts are members. They refer to each other, and none outlives the activation.
class activation final : public loaded_run, private attempt::owner {
public:
    /// @param given  the record, if the caller has it; otherwise it is read.
    /// @param pending  a stimulus to apply before anything else.
    activation(engine_parts& engine, run_id run, std::optional<record> given,
               std::optional<core::stimulus> pending = {});

    /// From beginning to end. run_worker calls it.
    boost::asio::awaitable<void> drive();

    /// Notifies the watcher, which has been added, of the run's state. The place in the task scope
    /// that was taken for it is released then. Any thread.
    void show_record(std::shared_ptr<watcher> added) { commits_.show_record(std::move(added)); }

    /// Looks at the messages that active_runs has been given for the run. Any thread.
    void check_messages();

    /// The store has messages up to `last`; clients of other engines may have sent some of them.
    /// Any thread.
    void check_inbox(std::uint64_t last);

    /// Cancels the handler because the engine stops. Any thread.
    void cancel_for_stop();

    /// Cancels the handler if the engine no longer owns the run's shard. Any thread.
    void check_ownership();

    /// A handler that is running, for the report of an engine that stands still.
    struct running_handler {
        const detail::workflow_impl* workflow = nullptr;
        int status = 0;
        core::need kind = core::need::nothing;
        time_point since;
    };

    /// Empty while no handler runs. Any thread.
    std::optional<running_handler> handler_at_work() const noexcept;

private:
    friend class active_runs;

    /// What prepare() leads to.
    enum class prepared { action, nothing, end };

    bool may_continue() const;
    boost::asio::awaitable<bool> perform_actions();
    prepared prepare(core::action& next, time_point present);
    core::action choose_action(time_point present);
    bool only_step_is_next(core::action& next, time_point present);
    bool seems_due(time_point present) const;
    bool end();
    bool end_and_wait_for_place();
    bool end_and_wait_for_permit();
    bool end_and_wait_for_suspects();
    void note_handler(core::need kind, time_point since);
    std::optional<core::stimulus> stimulus_of(core::action next);
    core::stimulus unknown_timeout(const std::string& name);
    bool take_messages();
    boost::asio::awaitable<void> fetch_messages();
    bool must_check_parent() const;
    boost::asio::awaitable<void> check_parent();
    boost::asio::awaitable<std::optional<core::stimulus>> reach_other_runs(core::need kind);
    void note_unreached_runs(const std::exception_ptr& failure);
    void abandon_attempt(attempt::cancel_reason reason) override;

    handler_admission admission_;
    handler_context context_; ///< saves through commits_, which arms timeouts with it
    run_commits commits_;
    message_settler settler_;
    attempt attempt_;

    std::optional<core::stimulus> pending_stimulus_;
    bool fetches_messages_ = false;
    bool parent_checked_ = false;    ///< see check_parent()
    std::uint64_t last_message_ = 0; ///< the last message that check_inbox() was told of
    int failures_ = 0; ///< activations of this run before that ended with an error, in a row

    // See handler_at_work(); the time is the last to be set.
    std::atomic<const detail::workflow_impl*> handler_workflow_{nullptr};
    std::atomic<int> handler_status_{0};
    std::atomic<core::need> handler_kind_{core::need::nothing};
    std::atomic<time_point::rep> handler_since_{0};

    // Guarded by active_runs; place_ is read on the strand without its lock.
    std::atomic<bool> has_inbox_delta_{false};
    std::atomic<bool> serves_messages_{false}; ///< although the engine drains
    active_runs::inbox_delta inbox_delta_;
    std::atomic<active_runs::place> place_{active_runs::place::none};
    std::size_t waits_ = 0;           ///< of the running handler, for something of the engine
    std::uint64_t handler_waits_ = 0; ///< counts handlers, so that a late end of a wait is noticed
};

} // namespace pawl::engine_detail
