#pragma once

#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

/// What a timer function may ask of a run that is not active: its record, and the time.
class detached_run_context final : public detail::run_context {
public:
    detached_run_context(const pawl::clock& clock, const log_sink& log, record of)
        : clock_(clock), log_(log), record_(std::move(of))
    {
    }

    const record& current() const noexcept override { return record_; }
    time_point now() const override { return clock_.now(); }
    void log(log_level level, std::string_view line) const override { log_({level, line}); }

    boost::asio::awaitable<void> checkpoint(std::string) override { return refuse(); }
    boost::asio::awaitable<void> record_effect(effect, std::string) override { return refuse(); }

private:
    /// Timer functions are no coroutines, so none comes here.
    static boost::asio::awaitable<void> refuse()
    {
        throw std::logic_error("a run that is not active saves nothing");
    }

    const pawl::clock& clock_;
    const log_sink& log_;
    const record record_;
};

} // namespace pawl::engine_detail
