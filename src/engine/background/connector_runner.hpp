#pragma once

#include "async/auto_reset_event.hpp"
#include "async/cancellable_call.hpp"
#include "engine/api/engine_parts.hpp"
#include "engine/background/log_limiter.hpp"
#include "pawl/connector.hpp"
#include "pawl/role_scheduler.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Processes the events of one connector while its engine has the connector's role.
///
/// One reader receives events from the source. Each key has a lane, in which its events are
/// processed in order; lanes run concurrently. Events are acknowledged up to the first one that has
/// not been processed.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class connector_runner : public std::enable_shared_from_this<connector_runner> {
public:
    /// @param roles null if no other process can run the connector.
    connector_runner(engine_parts& shared, detail::connector_impl connector,
                     std::shared_ptr<role_scheduler> roles);

    /// `engine` must live until the task scope has been closed.
    void start(std::weak_ptr<detail::engine_api> engine);

    /// Begins no further event, and ends the waits.
    void stop();

    /// Cancels running attempts and calls.
    void interrupt();

    /// Destroys the connector's function, which may hold clients, and so the engine. Call it when
    /// nothing runs any longer.
    void release_function() { connector_.work = nullptr; }

    /// Whether the caller runs on the connector's strand, as its function does.
    bool runs_here() const { return async::runs_on(strand_); }

    /// The number of events that were read and are not yet processed.
    std::size_t open() const noexcept { return open_; }

    /// Calls the function for a dead letter once. Throws what the function throws.
    boost::asio::awaitable<void> redrive(stream_event letter);

    const detail::connector_impl& connector() const noexcept { return connector_; }

    /// The name of the consumer of the connector's source.
    std::string consumer() const;

private:
    /// A running attempt.
    struct attempt {
        boost::asio::cancellation_signal cancel;
        bool inside = false; ///< suspended where `cancel` may be emitted
        bool timed_out = false;
        std::unique_ptr<timer> limit;
    };

    /// The open events of one key, processed in order. An event without a key has a lane of its
    /// own.
    struct key_lane {
        std::pair<std::string, std::uint64_t> name;
        std::deque<stream_event> events;
        int failures = 0; ///< counted attempts of the first event
        int delays = 0;   ///< its attempts that failed because of the infrastructure
        bool waiting = false;
        bool parked = false; ///< the first event waits for its next attempt
        std::unique_ptr<timer> pause;
        std::shared_ptr<attempt> current;
    };
    using lane_ptr = std::shared_ptr<key_lane>;

    boost::asio::awaitable<void> work();
    boost::asio::awaitable<std::exception_ptr> run_session();
    boost::asio::awaitable<void> read_and_acknowledge();
    boost::asio::awaitable<void> end_session();
    boost::asio::awaitable<void> acquire_role();
    boost::asio::awaitable<void> watch_role();
    boost::asio::awaitable<void> wait_for_loss();
    void note_lost_role(const std::string& reason);
    boost::asio::awaitable<void> open_source();
    boost::asio::awaitable<void> read_events();
    boost::asio::awaitable<void> receive_events(std::size_t limit);
    boost::asio::awaitable<void> acknowledge();
    boost::asio::awaitable<void> sleep(duration span);

    bool session_over() const noexcept { return stopping_ || role_lost_ || yields_ || failure_; }
    void add_events(std::vector<stream_event> events);
    void schedule_lane(const lane_ptr& lane, duration wait);
    void schedule_retry(const lane_ptr& lane, int failures);
    void park_lane(const lane_ptr& lane, duration wait);
    void report_too_old(const key_lane& lane, const std::string& error);
    bool is_left_to_others() const noexcept;
    void unpark_lane(key_lane& lane);
    bool has_room() const noexcept;
    std::size_t room() const noexcept;
    void schedule_next_event(const lane_ptr& lane);
    void start_attempts();
    boost::asio::awaitable<void> run_attempt(lane_ptr lane, std::shared_ptr<attempt> started);
    void limit_attempt(const std::shared_ptr<attempt>& started);
    void handle_result(const lane_ptr& lane, std::exception_ptr failure, time_point began_at);
    void handle_failure(const lane_ptr& lane, const std::exception_ptr& failure,
                        time_point began_at);
    boost::asio::awaitable<void> store_dead_letter(lane_ptr lane, std::string error);
    void finish_event(const lane_ptr& lane);
    void report_attempt(const key_lane& lane, const std::string& error, time_point began_at,
                        bool last);
    void interrupt_attempts();
    void wake_lanes();

    engine_parts& shared_;
    detail::connector_impl connector_;
    engine_workflow& workflow_;
    const std::shared_ptr<role_scheduler> roles_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> pause_;
    std::weak_ptr<detail::engine_api> engine_;

    // Used on the strand.
    async::cancellable_call calls_;     ///< to role, source and acknowledgements
    async::cancellable_call receiving_; ///< the reader's call to the source
    async::cancellable_call watching_;  ///< the wait for the loss of the role
    const std::shared_ptr<async::auto_reset_event> progress_ =
        std::make_shared<async::auto_reset_event>();
    const std::shared_ptr<async::auto_reset_event> room_ =
        std::make_shared<async::auto_reset_event>();
    bool stopping_ = false;
    bool role_lost_ = false;
    bool too_old_ = false;       ///< an event needs a newer program
    bool yields_ = false;        ///< the session ends, to leave the role to such a program
    std::exception_ptr failure_; ///< why the session ends
    std::unique_ptr<held_role> role_;
    std::unique_ptr<event_receiver> receiver_;
    std::vector<stream_event> received_;
    bool watched_ = false;
    bool reading_ = false;
    bool received_any_ = false; ///< the session has received an event
    std::uint64_t read_ = 0;    ///< the last position that was read
    std::uint64_t acknowledged_ = 0;
    std::set<std::uint64_t> positions_; ///< read, and not yet processed
    std::map<std::pair<std::string, std::uint64_t>, lane_ptr> lanes_;
    std::deque<lane_ptr> ready_;
    std::size_t running_ = 0; ///< attempts
    std::size_t busy_ = 0;    ///< attempts, and dead letters that are being stored
    std::atomic<std::size_t> open_{0};
    std::size_t parked_ = 0; ///< the open events in parked lanes
    log_limiter lines_;
};

} // namespace pawl::engine_detail
