#pragma once

#include "core/decide.hpp"
#include "core/stimulus.hpp"
#include "core/trace.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/run_commits.hpp"
#include "engine/run/run_worker.hpp"
#include "pawl/detail/run_context.hpp"
#include "pawl/observer.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// What an activation lends to its handlers and timer functions: the run's record, and the
/// checkpoints and effects of the handler that is running.
///
/// One object serves all handlers of an activation, one after another. A coroutine that an earlier
/// or abandoned handler has left running gets an error when it saves something.
class handler_context final : public detail::run_context {
public:
    handler_context(loaded_run& run, run_commits& commits) : run_(run), commits_(commits) {}

    /// `next` is the handler from now on. It may save nothing before open().
    void prepare(core::source next);
    void open() { is_open_ = true; }

    /// The handler has ended.
    void close();

    /// Whether a handler is running.
    bool is_open() const noexcept { return is_open_; }

    /// Counts handlers, so that what belongs to an earlier one notices that it comes late.
    std::uint64_t serial() const noexcept { return serial_; }

    /// The span of the present or the last handler.
    core::placed_span placed_span() const;

    /// When prepare() was called; not measured unless the engine has an observer.
    time_point began_at() const noexcept { return began_at_; }

    /// What the present or the last handler has saved, for an observer; and how much is missing.
    std::span<const saved_progress> saved() const noexcept { return saved_; }
    std::uint32_t saved_omitted() const noexcept { return saved_omitted_; }

    /// The present or the last handler. Precondition: there has been one.
    const core::source& handler() const { return *handler_; }

    /// The definition of a workflow whose runs the handlers start. Null if it is not known.
    std::shared_ptr<const detail::workflow_impl> find_definition(const std::string& other) const;

    // run_context
    const record& current() const noexcept override { return run_.stored; }
    int attempt() const noexcept override;
    std::uint64_t handler_number() const noexcept override;
    std::uint32_t payload_version() const noexcept override;
    time_point now() const override { return run_.now(); }
    trace_context span() const override { return placed_span().span; }
    boost::asio::awaitable<void> checkpoint(std::string object) override;
    boost::asio::awaitable<void> record_effect(effect added, std::string object) override;
    boost::asio::awaitable<void> record_effect_in(detail::effect_in_transaction& wanted) override;
    bool begin_effect(std::string_view name, bool for_run) override;
    void end_effect(std::string_view name, bool for_run) override;
    boost::asio::awaitable<void> effect_ended() override;
    boost::asio::awaitable<void> send(std::string workflow, detail::send_call callback) override;
    boost::asio::awaitable<run_id> start(std::string workflow, detail::trigger_call child) override;
    boost::asio::awaitable<child_counts> count_children() override;
    void log(log_level level, std::string_view line) const override;

private:
    void check_may_save(std::uint64_t serial) const;
    void note_saved(std::string effect);
    void check_uses(const std::string& other) const;
    void check_uses_itself() const;
    void check_declares(const std::string& callback) const;
    time_point scope_began_at() const;
    void check_saved(const run_commit& item) const;
    transition save_transition(core::checkpoint_wanted wanted);
    boost::asio::awaitable<void> save(core::checkpoint_wanted wanted);

    loaded_run& run_;
    run_commits& commits_;
    std::optional<core::source> handler_;
    bool is_open_ = false;
    std::uint64_t serial_ = 0;
    std::uint64_t began_version_ = 0;
    time_point began_at_;
    std::vector<saved_progress> saved_;
    std::uint32_t saved_omitted_ = 0;
    std::vector<std::pair<std::string, bool>> effects_under_way_; ///< name, and whether for the run
    std::vector<waiting_coroutine> effect_waiters_;
};

} // namespace pawl::engine_detail
