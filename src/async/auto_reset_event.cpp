#include "async/auto_reset_event.hpp"

#include "async/complete.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::async {

namespace asio = boost::asio;

asio::awaitable<void> auto_reset_event::wait()
{
    // No shared_ptr to this object here: it holds the handler, and the handler this coroutine.
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void(boost::system::error_code)>(
        [](auto waiter, auto_reset_event* self, asio::any_io_executor waiter_executor) {
            self->begin_wait(handler{std::move(waiter)}, std::move(waiter_executor));
        },
        asio::use_awaitable, this, asio::any_io_executor{executor});
}

/// The slot is assigned before other threads can see the waiter: from then on one of them may
/// complete it, and destroy its cancellation slot and its last reference to this object.
void auto_reset_event::begin_wait(handler waiter, asio::any_io_executor executor)
{
    const auto alive = weak_from_this().lock();
    auto slot = asio::get_associated_cancellation_slot(waiter);
    if (slot.is_connected())
        slot.assign([weak = weak_from_this()](asio::cancellation_type) {
            if (const auto self = weak.lock())
                self->end_wait(asio::error::operation_aborted);
        });
    bool already_set = false;
    bool has_waiter = false;
    {
        const std::lock_guard lock{mutex_};
        has_waiter = waiter_.has_value();
        if (!has_waiter) {
            waiter_.emplace(std::move(waiter));
            executor_ = executor;
            already_set = std::exchange(set_, false);
        }
    }
    if (has_waiter)
        complete(executor, std::move(waiter), asio::error::already_started);
    else if (already_set)
        end_wait({});
}

void auto_reset_event::set()
{
    {
        const std::lock_guard lock{mutex_};
        if (!waiter_) {
            set_ = true;
            return;
        }
    }
    end_wait({});
}

void auto_reset_event::end_wait(boost::system::error_code result)
{
    std::optional<handler> waiter;
    asio::any_io_executor executor;
    {
        const std::lock_guard lock{mutex_};
        if (!waiter_) {
            // The waiter ended meanwhile: kept for the next wait.
            set_ = set_ || !result;
            return;
        }
        waiter.emplace(std::move(*waiter_));
        waiter_.reset();
        // Not kept: this object may outlive the execution context of the waiter.
        executor = std::exchange(executor_, {});
    }
    complete(executor, std::move(*waiter), result);
}

} // namespace pawl::async
