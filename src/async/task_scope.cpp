#include "async/task_scope.hpp"

#include "async/complete.hpp"
#include "pawl/detail/exception_text.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>

#include <cassert>

namespace pawl::async {

namespace asio = boost::asio;

bool runs_on(const asio::any_io_executor& strand)
{
    const auto* const found = strand.target<asio::strand<asio::any_io_executor>>();
    return found && found->running_in_this_thread();
}

bool task_scope::enter()
{
    auto tasks = tasks_.load();
    while (tasks > 0)
        if (tasks_.compare_exchange_weak(tasks, tasks + 1))
            return true;
    return false;
}

bool task_scope::close_if_empty()
{
    std::size_t empty = 1; // see tasks_
    return tasks_.compare_exchange_strong(empty, 0);
}

void task_scope::start(const asio::any_io_executor& executor, asio::awaitable<void> work,
                       asio::cancellation_slot slot, std::shared_ptr<void> owner)
{
    auto done = [this, owner = std::move(owner)](const std::exception_ptr& escaped) {
        end_task(escaped);
    };
    if (slot.is_connected())
        asio::co_spawn(executor, std::move(work),
                       asio::bind_cancellation_slot(slot, std::move(done)));
    else
        asio::co_spawn(executor, std::move(work), std::move(done));
}

void task_scope::spawn(const asio::any_io_executor& executor, asio::awaitable<void> work,
                       asio::cancellation_slot slot, std::shared_ptr<void> owner)
{
    [[maybe_unused]] const bool open = enter();
    assert(open);
    start(executor, std::move(work), slot, std::move(owner));
}

void task_scope::close_when_empty(asio::any_completion_handler<void()> done)
{
    assert(!done_ && tasks_ > 0);
    done_.emplace(std::move(done));
    leave();
}

void task_scope::end_task(const std::exception_ptr& escaped)
{
    if (escaped)
        log_({log_level::error, "internal error: " + detail::exception_text(escaped)});
    leave();
}

void task_scope::leave()
{
    // If another task is left, its end may destroy this object at once.
    if (--tasks_ > 0)
        return;
    // Once `done` has been posted, this object may be destroyed.
    const auto executor = executor_;
    auto done = std::move(*done_);
    done_.reset();
    complete(executor, std::move(done));
}

} // namespace pawl::async
