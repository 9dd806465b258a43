#include "pawl/clock.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <utility>

namespace pawl {

namespace {

/// Longer waits are cut to this one: they would not fit into nanoseconds.
constexpr duration longest_wait = std::chrono::hours{24 * 365 * 100};

class steady_timer final : public timer {
public:
    explicit steady_timer(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    void wait(duration span, boost::asio::any_completion_handler<void()> handler) override
    {
        timer_.expires_after(std::min(span, longest_wait));
        const auto executor = boost::asio::get_associated_executor(handler, timer_.get_executor());
        timer_.async_wait(boost::asio::bind_executor(
            executor, [handler = std::move(handler)](const boost::system::error_code&) mutable {
                std::move(handler)();
            }));
    }

    void cancel() override { timer_.cancel(); }

private:
    boost::asio::steady_timer timer_;
};

class machine_clock final : public clock {
public:
    time_point now() const override
    {
        return std::chrono::floor<duration>(std::chrono::system_clock::now());
    }

    duration steady() const override
    {
        return std::chrono::floor<duration>(std::chrono::steady_clock::now().time_since_epoch());
    }

    std::unique_ptr<timer> make_timer(const boost::asio::any_io_executor& executor) override
    {
        return std::make_unique<steady_timer>(executor);
    }
};

} // namespace

std::shared_ptr<clock> default_clock()
{
    static const auto instance = std::make_shared<machine_clock>();
    return instance;
}

} // namespace pawl
