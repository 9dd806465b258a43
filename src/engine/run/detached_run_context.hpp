#pragma once

#include "pawl/clock.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

/// The context of a run that is not active, for timer functions: the record and the time.
class detached_run_context final : public detail::run_context {
public:
    detached_run_context(const pawl::clock& clock, const log_sink& log, record current)
        : clock_(clock), log_(log), record_(std::move(current))
    {
    }

    const record& current() const noexcept override { return record_; }
    time_point now() const override { return clock_.now(); }
    void log(log_level level, std::string_view line) const override { log_({level, line}); }

    boost::asio::awaitable<void> checkpoint(std::string) override { return throw_unsupported(); }
    boost::asio::awaitable<void> record_effect(effect, std::string) override
    {
        return throw_unsupported();
    }

private:
    /// Never called, because timer functions are not coroutines.
    static boost::asio::awaitable<void> throw_unsupported()
    {
        throw std::logic_error("a run that is not active cannot save");
    }

    const pawl::clock& clock_;
    const log_sink& log_;
    const record record_;
};

} // namespace pawl::engine_detail
