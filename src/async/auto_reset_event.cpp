#include "async/auto_reset_event.hpp"

#include "async/complete.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <utility>

namespace pawl::async {

namespace asio = boost::asio;

namespace {

/// A timer calls its handler when it is cancelled, too.
struct watch {
    explicit watch(timer* measuring) : time(measuring) {}
    watch(const watch&) = delete;
    ~watch()
    {
        *over = true;
        if (time)
            time->cancel();
    }

    timer* const time;
    const std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
};

} // namespace

asio::awaitable<void> wait_or_poll(asio::awaitable<void> waiting, timer* time, duration span,
                                   std::function<void()> look)
{
    const watch meanwhile{time};
    if (time)
        time->wait(span, [over = meanwhile.over, look = std::move(look)] {
            if (!*over)
                look();
        });
    co_await std::move(waiting);
}

asio::awaitable<void> auto_reset_event::wait()
{
    // Does not keep itself alive: the handler that it keeps holds this coroutine.
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(
        [](auto waiting, auto_reset_event* self, asio::any_io_executor on) {
            self->begin(handler{std::move(waiting)}, std::move(on));
        },
        asio::use_awaitable, this, asio::any_io_executor{executor});
}

/// Everything is prepared before the waiter can be seen: from then on another thread may complete
/// it, and whoever waited may be gone, with its cancellation slot and its hold on this object.
void auto_reset_event::begin(handler waiting, asio::any_io_executor executor)
{
    const auto alive = weak_from_this().lock();
    auto slot = asio::get_associated_cancellation_slot(waiting);
    if (slot.is_connected())
        slot.assign([weak = weak_from_this()](asio::cancellation_type) {
            if (const auto self = weak.lock())
                self->end(asio::error::operation_aborted);
        });
    bool fresh = false;
    bool refused = false;
    {
        const std::lock_guard lock{mutex_};
        refused = waiting_.has_value();
        if (!refused) {
            waiting_.emplace(std::move(waiting));
            executor_ = executor;
            fresh = std::exchange(fresh_, false);
        }
    }
    if (refused)
        complete(executor, std::move(waiting), asio::error::already_started);
    else if (fresh)
        end({});
}

void auto_reset_event::set()
{
    {
        const std::lock_guard lock{mutex_};
        if (!waiting_) {
            fresh_ = true;
            return;
        }
    }
    end({});
}

void auto_reset_event::end(boost::system::error_code result)
{
    std::optional<handler> waiting;
    asio::any_io_executor executor;
    {
        const std::lock_guard lock{mutex_};
        if (!waiting_) {
            // Told between a look and this: kept for the next wait.
            fresh_ = fresh_ || !result;
            return;
        }
        waiting.emplace(std::move(*waiting_));
        waiting_.reset();
        // Not kept: the news may outlive the waiter's context.
        executor = std::exchange(executor_, {});
    }
    complete(executor, std::move(*waiting), result);
}

} // namespace pawl::async
