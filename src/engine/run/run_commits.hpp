#pragma once

#include "core/decide.hpp"
#include "core/stimulus.hpp"
#include "engine/run/commit_queue.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/run_worker.hpp"
#include "pawl/detail/run_context.hpp"

#include <boost/asio/awaitable.hpp>

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

class run_commits;

/// A transition of a run on its way to the store. It stands in the frame of the coroutine that
/// waits for it.
struct run_commit final : pending_commit, commit_listener {
    enum class origin { handler, engine };

    run_commit(run_commits& owner, transition decided, origin from);
    void committed() override;

    run_commits& commits;
    std::optional<waiting_coroutine> waiting;

    /// If the store finds a handler's transition too large, that is a failure of the handler. Of
    /// other transitions nothing is known then, as when the store fails.
    const bool is_of_handler;
    bool refused = false; ///< too large: it is not stored
};

/// Decides and stores the transitions of one run, one after another, and applies the store's
/// answers to what the engine has in memory.
class run_commits {
public:
    /// @param timer_context  what the timer functions of a status are called with.
    run_commits(loaded_run& run, detail::run_context& timer_context);

    /// The transition that a stimulus leads to; empty when the stimulus no longer applies, or when
    /// the run has been left to a newer program.
    std::optional<transition> decide(core::stimulus stimulus);

    /// Computes the deadlines of a visit of `status` for the next decide(). Throws what a timer
    /// function throws, which is a failure of the handler then.
    void arm_ahead(int status);
    void forget_armed() { armed_.reset(); }

    /// Stores the transition in this call, and applies the result. False when it must be submitted.
    bool try_apply(run_commit& item);

    /// Completes when the transition has a result or a failure, which take_result() applies.
    boost::asio::awaitable<void> submit(run_commit& item);
    void take_result(run_commit& item);

    /// The transition is certainly not stored, and will not be.
    void abandon_commit();

    /// True after a number of commits in place: others want the thread too.
    bool must_yield();

    /// The right to commit: commits of one run follow each other. Whoever has the turn passes it
    /// on.
    bool turn_is_taken() const noexcept { return turn_taken_; }
    bool try_take_turn() { return !std::exchange(turn_taken_, true); }
    boost::asio::awaitable<void> wait_for_turn();
    void pass_turn();

    /// The turn, which is passed on when this object ends.
    struct turn {
        run_commits& commits;

        ~turn() { commits.pass_turn(); }
    };

    /// Notifies the watcher, which has been added, of the run's state. The place in the task scope
    /// that was taken for it is released then. Any thread.
    void show_record(std::shared_ptr<watcher> added);

    /// Notifies the watchers that wait for that. Each commit that `stored` does not show is still
    /// to be offered to them: they were added before.
    void notify_watchers();

    /// Why nothing more can be stored of what the present handler does; null: it can.
    const std::exception_ptr& failure() const noexcept { return failure_; }
    void clear_failure() { failure_ = nullptr; }

    /// The store failed.
    void take_failure(const std::exception_ptr& failure);

private:
    friend struct run_commit;

    std::vector<deadline> arm(int status);
    void add_missing_attributes(transition& change) const;
    void apply_result(run_commit& item);
    void apply_accepted(run_commit& item);
    void report_discarded(discard_reason reason) const;
    void report_settled(const settlement& settled) const;

    loaded_run& run_;
    detail::run_context& timer_context_;
    std::optional<std::pair<int, std::vector<deadline>>> armed_; ///< by arm_ahead()
    std::exception_ptr failure_;
    std::vector<std::shared_ptr<watcher>>
        watchers_; ///< see show_record(); while a commit is under way
    std::deque<waiting_coroutine> turn_queue_;
    bool turn_taken_ = false;
    int commits_in_a_row_ = 0;
    int commits_under_way_ = 0;
};

} // namespace pawl::engine_detail
