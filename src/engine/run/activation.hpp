#pragma once

#include "core/decide.hpp"
#include "engine/api/context.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/run_worker.hpp"
#include "pawl/detail/run_context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// One stay of a run in memory: on a strand, it does what the run needs, commits it, and goes
/// straight on, until the run must wait.
///
/// It decides nothing: core::next_action says what is next, core::decide what it led to.
class activation final : public detail::run_context,
                         public std::enable_shared_from_this<activation> {
public:
    /// @param current the record, if the caller has it; else it is read.
    /// @param verdict an outcome to store before anything else.
    activation(context& shared, run_id run, std::optional<record> current,
               std::optional<core::stimulus> verdict = {}, concurrency_limiter* granted = nullptr);

    const run_id& id() const noexcept { return id_; }

    /// What run_worker::drive() calls. From beginning to end.
    boost::asio::awaitable<void> drive();

    /// Tells the watcher, which has been added, how the run stands. Whoever is inside the task
    /// scope for it is let out then. Any thread.
    void show(std::shared_ptr<watcher> to);

    /// Says that mail has come, or that the engine stops. Any thread.
    void look_at_mail();
    void interrupt_to_stop();

    /// The store has messages up to `last`; other engines' clients may have sent some of them. Any
    /// thread.
    void look_at_inbox(std::uint64_t last);

    /// A handler that is running, for people who ask why an engine stands still.
    struct work {
        const detail::workflow_impl* workflow = nullptr;
        int status = 0;
        core::need kind = core::need::nothing;
        time_point since;
    };

    /// Empty while no handler runs. Any thread.
    std::optional<work> at_work() const noexcept;

    /// Cancels the handler if the engine no longer has the run's shard. Any thread.
    void check_ownership();

    /// The run's shard, if it is known yet. Any thread.
    std::optional<std::uint32_t> shard() const noexcept;

    // run_context, for the handler that is running
    const record& current() const noexcept override { return record_; }
    int attempt() const noexcept override;
    std::uint64_t handler_number() const noexcept override;
    std::uint32_t payload_version() const noexcept override;
    time_point now() const override { return shared_.clock.now(); }
    boost::asio::awaitable<void> checkpoint(std::string object) override;
    boost::asio::awaitable<void> record_effect(effect added, std::string object) override;
    boost::asio::awaitable<void> record_effect_in(detail::effect_in_transaction& wanted) override;
    bool begin_effect(std::string_view name, bool for_run) override;
    void end_effect(std::string_view name, bool for_run) override;
    boost::asio::awaitable<void> effect_ended() override;
    void log(log_level level, std::string_view line) const override;

private:
    friend class active_runs;

    /// Why a running handler was cancelled.
    enum class interruption { none, command, deadline, attempt_timeout, stop, not_owner };

    /// A change of the run. Stands in the frame of the coroutine that waits for it.
    struct own_commit final : pending_commit, commit_listener {
        own_commit(activation& owner, transition decided);
        void committed() override;

        activation& of;
        std::optional<waiting_coroutine> waiting;

        /// What a handler led to, and so its failure when the store finds it too large. Of other
        /// changes nothing is known then, as when the store fails.
        bool is_of_handler = false;
        bool refused = false;
    };

    /// The turn to commit, which is passed on when it ends.
    struct turn {
        activation& of;

        ~turn() { of.pass_turn(); }
    };

    const boost::asio::any_io_executor& strand() const noexcept { return worker_->strand(); }
    bool may_go_on() const;
    boost::asio::awaitable<bool> go_on();
    core::action next(time_point at);
    bool seems_due(time_point at) const;
    bool end();
    bool wait_for_place(core::action& wanted, time_point at);
    bool wait_for_permit(core::action& wanted, time_point at);
    bool step_is_all_there_is(core::action& wanted, time_point at);
    bool end_and_wait_for_permit();
    bool end_and_wait_for_place();
    due_position position() const;
    std::optional<time_point> next_change() const;
    void begins_work(core::action what, time_point at);
    boost::asio::awaitable<void> fetch_mail();
    boost::asio::awaitable<void> load();
    boost::asio::awaitable<void> load_inbox();
    void find_workflow();
    void find_owner();
    bool is_owner() const;
    std::optional<core::stimulus> outcome_of(core::action what);
    bool needs_newer_program(const std::exception_ptr& failure);
    core::stimulus unknown_timeout(const std::string& name);
    void leave_to_newer_program(std::string_view why);
    boost::asio::awaitable<std::optional<core::stimulus>> run_handler(core::action what);
    boost::asio::awaitable<detail::next_value> call_handler(core::action what);
    std::optional<core::handler_failed> interrupted(const core::source& by, time_point begun);
    core::handler_failed failed(const core::source& by, time_point begun,
                                const std::exception_ptr& failure);
    std::optional<std::string> scrubbed_object();
    void check_size(std::size_t size, const char* what) const;
    core::source source_of(core::action what) const;
    duration limit_of(core::action what) const;
    core::stimulus completed(core::source by, detail::next_value value);
    bool is_permanent(const core::source& by, const std::exception_ptr& failure) const;
    std::string process_name(const core::source& by) const;
    log_entry entry_of(log_level level, std::string_view text) const;
    void report(const core::source& by, time_point begun, handler_result how,
                std::string_view error = {}) const;
    void report_discarded(discard_reason why) const;
    void tell_settled(const settlement& ended) const;
    std::optional<transition> decide(core::stimulus what);
    bool store_in_place(own_commit& made);
    boost::asio::awaitable<void> submit(own_commit& made);
    bool has_had_its_turn();
    bool knows_the_run() const;
    void answer();
    void take_result(own_commit& made);
    void learn_from(own_commit& made);
    boost::asio::awaitable<void> wait_for_turn();
    void pass_turn();
    boost::asio::awaitable<void> save(core::checkpoint_wanted wanted);
    transition save_transition(core::checkpoint_wanted wanted);
    void take_failure(const std::exception_ptr& failure);
    void abandon_commit();
    void check_that_handler_may_save(std::uint64_t attempt) const;
    void check_saved(const own_commit& made) const;

    bool take_mail();
    bool take_arrived(std::vector<message> arrived);
    void hear_of_mail(bool urgent);
    std::optional<time_point> settled_beside(const message& waiting, bool is_first_command) const;
    std::pair<time_point, const message*> first_settled_beside() const;
    void await_settling();
    void begin_settling();
    boost::asio::awaitable<void> settle_beside();
    std::optional<core::stimulus> judge_attempt(const core::source& by);
    bool enter_suspects();
    void leave_suspects();
    bool end_and_wait_for_suspects();
    bool take_permit();
    bool ended_by_stop(const std::exception_ptr& failure) const;
    void give_permit_back();

    void limit_attempt(duration limit);
    void await_limit();
    void on_limit(std::uint64_t attempt, duration waited);
    void interrupt(interruption why);
    void supersede(std::uint64_t attempt);

    const detail::status_handlers& handlers() const;
    const status_rules& rules() const;
    const std::string& name_of(const core::from_timeout& by) const;
    void decode_object();
    std::vector<deadline> arm(int status);
    core::inbox_view inbox_view() const;

    context& shared_;
    const run_id id_;
    std::shared_ptr<run_worker> worker_; ///< set when it becomes active
    workflow_entry* workflow_ = nullptr;

    bool loaded_;               ///< record_ came with the activation and has not been used
    bool stale_ = false;        ///< record_ or inbox_ must be read again
    bool unsure_ = false;       ///< the store failed: what it holds of the run is not known
    bool at_fault_ = false;     ///< it did so because of this run
    bool mail_missing_ = false; ///< the inbox must be read again, but no outcome is stale for that
    record record_;
    std::string encoded_; ///< its memory is what the next object is encoded into
    detail::object_ptr
        object_; ///< decoded on first use, null when record_.object must be read again
    core::inbox inbox_;
    std::atomic<std::uint64_t> inbox_seen_{0};
    bool fetches_mail_ = false;
    bool new_mail_ = false; ///< messages arrived that no commit has taken note of
    std::optional<core::stimulus> verdict_;
    concurrency_limiter* permit_ = nullptr;
    crash_suspects::judgement judgement_; ///< of the next handler
    std::uint32_t suspect_place_ = 0;     ///< the suspicion with which it has one; 0: it has none
    int commits_in_a_row_ = 0;
    int commits_under_way_ = 0;
    bool committing_ = false; ///< somebody has the turn: commits of one run follow each other
    std::deque<waiting_coroutine> commit_line_;
    int callbacks_in_a_row_ = 0;                   ///< see core::next_action
    std::vector<std::shared_ptr<watcher>> asking_; ///< see show(); while a commit is under way
    bool owned_ = true;                   ///< false: somebody else drives the run, or it is gone
    std::uint64_t epoch_ = 0;             ///< of the shard, when the run was taken up
    std::atomic<std::int64_t> shard_{-1}; ///< -1: not known yet

    // Of the handler that is running; touched on the strand only.
    bool handler_running_ = false;
    std::uint64_t attempt_ = 0; ///< counts handler runs, so that a late timer finds out
    interruption interrupted_ = interruption::none;
    std::optional<core::source> running_;
    duration attempt_left_{}; ///< of its limit; max() when it has none
    bool too_old_ = false;    ///< the run needs a newer program than this engine's
    bool superseded_ = false;
    duration grace_left_{};           ///< of a callback's handler, before a deadline interrupts it
    std::exception_ptr save_failure_; ///< of the handler: it can save nothing any more
    std::vector<std::pair<std::string, bool>> effects_under_way_;
    std::vector<waiting_coroutine> effect_waiters_;
    std::optional<std::pair<int, std::vector<deadline>>> armed_; ///< of the status it moved to
    std::unique_ptr<timer> timer_;
    std::unique_ptr<timer> settling_timer_;
    std::uint64_t settling_waits_ = 0; ///< so that a late timer finds out
    bool settling_ = false;

    // See at_work(); `since` is the last to be set.
    std::atomic<const detail::workflow_impl*> work_of_{nullptr};
    std::atomic<int> work_status_{0};
    std::atomic<core::need> work_kind_{core::need::nothing};
    std::atomic<time_point::rep> work_since_{0};

    int failures_ = 0; ///< activations of this run before that ended with an error, in a row

    // Guarded by active_runs; place_ is read on the strand without it.
    std::atomic<bool> has_mail_{false};
    std::atomic<bool> serves_messages_{false}; ///< though the engine drains
    active_runs::inbox_delta mail_;
    std::atomic<active_runs::place> place_{active_runs::place::none};
    std::size_t waits_ = 0;           ///< of the running handler, for something of the engine's
    std::uint64_t handler_waits_ = 0; ///< counts handlers, so that a late end of a wait finds out
};

} // namespace pawl::engine_detail
