#include "engine/gate.hpp"

#include "engine/complete.hpp"
#include "engine/error_text.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include <cassert>

namespace pawl::engine_detail {

namespace asio = boost::asio;

bool gate::enter()
{
    const std::lock_guard lock{mutex_};
    if (closed_)
        return false;
    ++inside_;
    return true;
}

void gate::start(const asio::any_io_executor& executor, asio::awaitable<void> work,
                 asio::cancellation_slot slot, std::shared_ptr<void> owner)
{
    auto ended = [this, owner = std::move(owner)](const std::exception_ptr& escaped) {
        leave(escaped);
    };
    if (slot.is_connected())
        asio::co_spawn(executor, std::move(work),
                       asio::bind_cancellation_slot(slot, std::move(ended)));
    else
        asio::co_spawn(executor, std::move(work), std::move(ended));
}

void gate::spawn(const asio::any_io_executor& executor, asio::awaitable<void> work,
                 asio::cancellation_slot slot, std::shared_ptr<void> owner)
{
    [[maybe_unused]] const bool open = enter();
    assert(open);
    start(executor, std::move(work), slot, std::move(owner));
}

void gate::close_when_empty(asio::any_completion_handler<void()> done)
{
    {
        const std::lock_guard lock{mutex_};
        assert(!waiting_ && !closed_);
        if (inside_ > 0) {
            waiting_.emplace(std::move(done));
            return;
        }
        closed_ = true;
    }
    complete(executor_, std::move(done));
}

void gate::leave(const std::exception_ptr& escaped)
{
    if (escaped)
        log_({log_level::error, "internal error: " + error_text(escaped)});
    // Once `done` has been posted, this object may be gone.
    const auto executor = executor_;
    std::optional<asio::any_completion_handler<void()>> done;
    {
        const std::lock_guard lock{mutex_};
        if (--inside_ > 0 || !waiting_)
            return;
        closed_ = true;
        done.emplace(std::move(*waiting_));
        waiting_.reset();
    }
    complete(executor, std::move(*done));
}

} // namespace pawl::engine_detail
