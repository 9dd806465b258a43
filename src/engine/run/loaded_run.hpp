#pragma once

#include "core/decide.hpp"
#include "core/inbox.hpp"
#include "engine/api/engine_parts.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/run_worker.hpp"
#include "pawl/detail/handlers.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::engine_detail {

/// Messages that one read of an inbox asks for.
constexpr std::size_t inbox_page = 256;

/// What an engine has in memory of one run: its record, object and inbox, its workflow, and whether
/// the engine owns its shard.
///
/// It is the base of activation instead of a member, so that the parts of an activation can keep
/// the activation alive while they wait, or notice that it is gone. Used on the run's strand,
/// except where a function says otherwise.
class loaded_run : public std::enable_shared_from_this<loaded_run> {
public:
    loaded_run(const loaded_run&) = delete;
    loaded_run& operator=(const loaded_run&) = delete;

    const run_id& id() const noexcept { return id_; }
    const boost::asio::any_io_executor& strand() const noexcept { return worker->strand(); }
    time_point now() const { return shared.clock.now(); }

    /// The run's shard, if it is known yet. Any thread.
    std::optional<std::uint32_t> shard() const noexcept;

    /// Whether the engine still owns the shard under the lease that it had when it loaded the run.
    /// Any thread.
    bool is_owner() const;

    /// The epoch of that lease.
    std::uint64_t epoch() const noexcept { return epoch_; }

    /// Whether `stored` is what the store has.
    bool is_current() const;

    /// Begins with the record that came with the constructor. If load() must read something first,
    /// sets `stale`.
    void use_given_record();

    /// Reads the run, or only its inbox when the record came with the constructor.
    boost::asio::awaitable<void> load();

    /// Adds messages that the store has got meanwhile. True when one of them cancels a handler.
    bool add_messages(std::vector<message> arrived);

    core::inbox_view inbox_view() const;

    /// The functions and the rules of the run's status. Precondition: the workflow has the status.
    const detail::status_handlers& handlers() const;
    const status_rules& rules() const;

    const std::string& timeout_name(const core::from_timeout& timeout) const;

    /// The run's place in the store's order of due runs.
    due_position position() const;

    /// When a run that waits for a place or a slot has something to do that does not wait.
    std::optional<time_point> next_urgent_time() const;

    /// Sets `object` unless it is set. Throws what the codec and the upgrades of the object throw.
    void decode_object();

    /// What is left of the object when its data is deleted. The data is removed whatever a scrubber
    /// or a codec does: if they fail, the result is a blank object. Empty when the object is a
    /// newer program's, to which the run has been left then.
    std::optional<std::string> scrubbed_object();

    /// Throws size_exceeded when what `name` says is larger than engine_options::max_object_size.
    void check_size(std::size_t size, const char* name) const;

    /// Leaves the run, as it is stored and as due as it is, to an engine that has a newer program.
    void leave_to_newer_program(std::string_view reason);

    /// Does that, and returns true, if a handler, or what comes before it, was given data of a
    /// newer program. That is no failed attempt.
    bool left_to_newer_program(const std::exception_ptr& failure);

    /// The store failed, and what it holds of the run is not known.
    void note_store_failure(const std::exception_ptr& failure);

    log_entry entry_of(log_level level, std::string_view text) const;
    void log(log_level level, std::string_view text) const;

    engine_parts& shared;
    std::shared_ptr<run_worker> worker;  ///< set when active_runs admits the run
    engine_workflow* workflow = nullptr; ///< set when the record is known

    record stored;             ///< as the store has it, unless `stale`
    detail::object_ptr object; ///< decoded on first use; null when it must be decoded from `stored`
    std::exception_ptr key_failure; ///< of the limits of the step: the attempt fails with it
    std::string encode_buffer;      ///< its memory is what the next object is encoded into
    core::inbox inbox;
    std::atomic<std::uint64_t> inbox_seen{0}; ///< the last message that `inbox` has had

    bool owned = true;  ///< false: another engine drives the run, or it was removed
    bool stale = false; ///< `stored` or `inbox` must be read again
    bool inbox_incomplete =
        false;                   ///< `inbox` must be read again, but no stimulus is stale for that
    bool new_messages = false;   ///< messages have arrived that no commit has taken note of
    bool store_failed = false;   ///< what the store holds of the run is not known
    bool failed_by_data = false; ///< the store failed because of this run
    bool abandoned = false;      ///< a handler ignored its cancellation
    int callbacks_in_a_row = 0;  ///< see core::next_action

    crash_suspects::judgement judgement; ///< of the next handler

protected:
    loaded_run(engine_parts& engine, run_id run, std::optional<record> given);
    ~loaded_run() = default;

private:
    boost::asio::awaitable<void> load_inbox();
    void find_workflow();
    void find_owner();

    const run_id id_;
    bool given_;                          ///< `stored` came with the constructor and is unused
    bool reading_ = false;                ///< load() is under way, or must be repeated
    std::uint64_t epoch_ = 0;             ///< of the shard, when the run was loaded
    std::atomic<std::int64_t> shard_{-1}; ///< -1: not known yet
};

} // namespace pawl::engine_detail
