#include "pawl/testing/manual_clock.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace pawl::testing {

namespace asio = boost::asio;

namespace {

/// A pending wait. It counts as work of its io_context, as with a steady_timer.
struct waiting {
    asio::executor_work_guard<asio::any_io_executor> work;
    asio::any_completion_handler<void()> handler;

    void complete()
    {
        asio::post(work.get_executor(), [handler = std::move(handler)]() mutable {
            asio::dispatch(std::move(handler));
        });
    }
};

} // namespace

class manual_clock::state {
public:
    explicit state(time_point start) : now_(start) {}

    time_point now() const
    {
        const std::lock_guard lock{mutex_};
        return now_ + stepped_;
    }

    duration steady() const
    {
        const std::lock_guard lock{mutex_};
        return now_.time_since_epoch();
    }

    void step(duration change)
    {
        const std::lock_guard lock{mutex_};
        stepped_ += change;
    }

    std::uint64_t add(duration span, waiting entry)
    {
        const std::lock_guard lock{mutex_};
        const auto id = ++last_id_;
        const bool beyond = span > time_point::max() - now_;
        waits_.emplace(std::pair{beyond ? time_point::max() : now_ + span, id}, std::move(entry));
        return id;
    }

    void cancel(std::uint64_t id)
    {
        const std::lock_guard lock{mutex_};
        for (auto wait = waits_.begin(); wait != waits_.end(); ++wait) {
            if (wait->first.second != id)
                continue;
            wait->second.complete();
            waits_.erase(wait);
            return;
        }
    }

    void advance(duration span)
    {
        const std::lock_guard lock{mutex_};
        now_ += span;
        while (!waits_.empty() && waits_.begin()->first.first <= now_) {
            waits_.begin()->second.complete();
            waits_.erase(waits_.begin());
        }
    }

    std::optional<time_point> next() const
    {
        const std::lock_guard lock{mutex_};
        if (waits_.empty())
            return {};
        const auto first = waits_.begin()->first.first;
        return first == time_point::max() ? first : first + stepped_;
    }

    std::size_t count() const
    {
        const std::lock_guard lock{mutex_};
        return waits_.size();
    }

private:
    mutable std::mutex mutex_;
    time_point now_;     ///< steady time, for waits
    duration stepped_{}; ///< wall clock minus steady time
    std::uint64_t last_id_ = 0;
    std::map<std::pair<time_point, std::uint64_t>, waiting> waits_;
};

class manual_clock::manual_timer final : public timer {
public:
    manual_timer(std::shared_ptr<state> shared, asio::any_io_executor executor)
        : state_(std::move(shared)), executor_(std::move(executor))
    {
    }

    ~manual_timer() override { manual_timer::cancel(); }

    void wait(duration span, asio::any_completion_handler<void()> handler) override
    {
        cancel();
        id_ = state_->add(span, waiting{asio::make_work_guard(executor_), std::move(handler)});
    }

    void cancel() override
    {
        if (id_ != 0)
            state_->cancel(std::exchange(id_, 0));
    }

private:
    const std::shared_ptr<state> state_;
    const asio::any_io_executor executor_;
    std::uint64_t id_ = 0;
};

manual_clock::manual_clock() : manual_clock(std::chrono::sys_days{std::chrono::year{2024} / 1 / 1})
{
}

manual_clock::manual_clock(time_point start) : state_(std::make_shared<state>(start))
{
}

manual_clock::~manual_clock() = default;

time_point manual_clock::now() const
{
    return state_->now();
}

duration manual_clock::steady() const
{
    return state_->steady();
}

std::unique_ptr<timer> manual_clock::make_timer(const asio::any_io_executor& executor)
{
    return std::make_unique<manual_timer>(state_, executor);
}

void manual_clock::advance(duration span)
{
    state_->advance(span);
}

void manual_clock::step(duration change)
{
    state_->step(change);
}

std::optional<time_point> manual_clock::next_wait() const
{
    return state_->next();
}

std::size_t manual_clock::waits() const
{
    return state_->count();
}

} // namespace pawl::testing
