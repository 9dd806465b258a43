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

/// Works off the events of one connector, while its engine has the connector's role.
///
/// One reader takes events from the source; each key has a lane, in which its events follow each
/// other, and lanes stand beside each other. What a source is told of as done stands before the
/// first event that has not been worked off.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class connector_runner : public std::enable_shared_from_this<connector_runner> {
public:
    /// @param roles null when nobody else can run the connector.
    connector_runner(engine_parts& shared, detail::connector_impl connector,
                     std::shared_ptr<role_scheduler> roles);

    /// `engine` must live until the task scope has been closed.
    void start(std::weak_ptr<detail::engine_api> engine);

    /// Begins no event any more, and ends the waits.
    void stop();

    /// Cancels what is running.
    void interrupt();

    /// Drops the connector's function, which may hold clients, and they the engine. Once nothing
    /// runs any more.
    void forget() { connector_.work = nullptr; }

    /// Whether the caller is called by the connector's function, or by the connector itself.
    bool runs_here() const { return async::runs_on(strand_); }

    /// Events that were read and not yet worked off.
    std::size_t open() const noexcept { return open_; }

    /// Calls the function for a dead letter, once. Throws what it throws.
    boost::asio::awaitable<void> redrive(stream_event letter);

    const detail::connector_impl& connector() const noexcept { return connector_; }

    /// The name under which it reads its source.
    std::string consumer() const;

private:
    /// An attempt that is under way.
    struct attempt {
        boost::asio::cancellation_signal cancel;
        bool inside = false; ///< suspended where `cancel` may be emitted
        bool late = false;
        std::unique_ptr<timer> limit;
    };

    /// The events of one key, of which the first is being worked off. An event without a key has a
    /// lane of its own.
    struct lane {
        std::pair<std::string, std::uint64_t> name;
        std::deque<stream_event> events;
        int failures = 0; ///< attempts of the first event that are counted
        int delays = 0;   ///< those that are not
        bool waiting = false;
        bool parked = false; ///< its first event waits for its next attempt
        std::unique_ptr<timer> pause;
        std::shared_ptr<attempt> now;
    };
    using lane_ptr = std::shared_ptr<lane>;

    boost::asio::awaitable<void> work();
    boost::asio::awaitable<std::exception_ptr> session();
    boost::asio::awaitable<void> read_and_acknowledge();
    boost::asio::awaitable<void> end_session();
    boost::asio::awaitable<void> acquire();
    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<void> wait_for_loss();
    boost::asio::awaitable<void> open_source();
    boost::asio::awaitable<void> read();
    boost::asio::awaitable<void> receive(std::size_t limit);
    boost::asio::awaitable<void> acknowledge();
    boost::asio::awaitable<void> sleep(duration span);

    bool over() const noexcept { return stopping_ || lost_ || yields_ || failure_; }
    void take(std::vector<stream_event> events);
    void schedule(const lane_ptr& own, duration wait);
    void repeat(const lane_ptr& own, int times);
    void park(const lane_ptr& own, duration wait);
    void report_too_old(const lane& own, const std::string& error);
    bool is_left_to_others() const noexcept;
    void unpark(lane& waiting);
    bool has_room() const noexcept;
    std::size_t room() const noexcept;
    void schedule_next(const lane_ptr& own);
    void dispatch();
    boost::asio::awaitable<void> run_attempt(lane_ptr own, std::shared_ptr<attempt> made);
    void limit_attempt(const std::shared_ptr<attempt>& made);
    void judge(const lane_ptr& own, std::exception_ptr failure, duration took);
    void judge_failure(const lane_ptr& own, const std::exception_ptr& failure, duration took);
    boost::asio::awaitable<void> bury(lane_ptr own, std::string error);
    void done(const lane_ptr& own);
    void report(const lane& own, const std::string& error, duration took, bool last);
    void interrupt_attempts();
    void wake_lanes();

    engine_parts& shared_;
    detail::connector_impl connector_;
    engine_workflow& workflow_;
    const std::shared_ptr<role_scheduler> roles_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> pause_;
    std::weak_ptr<detail::engine_api> engine_;

    // Everything below belongs to the strand.
    async::cancellable_call calls_;     ///< of role, source and acknowledgements
    async::cancellable_call receiving_; ///< of the reader
    async::cancellable_call watching_;  ///< of the role's loss
    const std::shared_ptr<async::auto_reset_event> progress_ =
        std::make_shared<async::auto_reset_event>();
    const std::shared_ptr<async::auto_reset_event> room_ =
        std::make_shared<async::auto_reset_event>();
    bool stopping_ = false;
    bool lost_ = false;
    bool too_old_ = false;       ///< an event needs a newer program
    bool yields_ = false;        ///< the session ends, so that an engine that has it can go on
    std::exception_ptr failure_; ///< why the session ends
    std::unique_ptr<held_role> role_;
    std::unique_ptr<event_receiver> receiver_;
    std::vector<stream_event> received_;
    bool watched_ = false;
    bool reading_ = false;
    bool fruitful_ = false;  ///< the session has received something
    std::uint64_t read_ = 0; ///< the last position that was read
    std::uint64_t acked_ = 0;
    std::set<std::uint64_t> positions_; ///< read, and not yet worked off
    std::map<std::pair<std::string, std::uint64_t>, lane_ptr> lanes_;
    std::deque<lane_ptr> ready_;
    std::size_t running_ = 0; ///< attempts
    std::size_t busy_ = 0;    ///< attempts, and events that become dead letters
    std::atomic<std::size_t> open_{0};
    std::size_t parked_ = 0; ///< of these, in lanes that wait for their next attempt
    log_limiter lines_;
};

} // namespace pawl::engine_detail
