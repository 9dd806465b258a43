// Runs a client's call as a coroutine that ends in the call's completion handler.
#pragma once

#include "async/complete.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// Throws error (invalid_argument) unless `text` is a valid name. `subject` says what it names, for
/// example "the foreign id".
void check_name(const std::string& text, bool may_be_empty, const char* subject);

/// Throws error (invalid_argument) for an idempotency key of a client that is one of the engine's
/// own.
void check_key(const std::string& key);

/// Whether a message was not stored because its run has finished or does not exist.
inline bool is_gone(const failure& refused)
{
    return refused.code == errc::already_finished || refused.code == errc::not_found;
}

/// Cancels a wait through the caller's slot. The run itself continues.
template <class Watcher>
void bind_cancellation(const std::shared_ptr<engine_detail::watchers>& all,
                       const std::shared_ptr<Watcher>& added)
{
    auto slot = added->slot();
    if (!slot.is_connected())
        return;
    slot.assign([weak_all = std::weak_ptr{all},
                 weak_watcher = std::weak_ptr{added}](boost::asio::cancellation_type) {
        const auto list = weak_all.lock();
        const auto cancelled = weak_watcher.lock();
        if (list && cancelled)
            list->fail(cancelled, error_code{boost::asio::error::operation_aborted});
    });
}

/// Says that no run can start in the status.
std::string no_start_text(const workflow_impl& workflow, int status);

template <class T, class Returned>
void engine_core::launch(boost::asio::awaitable<Returned> work, completion<T> done)
{
    if (admits() && tasks_.enter())
        tasks_.start(shared_.executor, finish(std::move(work), std::move(done)));
    else
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running), T{});
}

template <class T, class Returned>
boost::asio::awaitable<void> engine_core::finish(boost::asio::awaitable<Returned> work,
                                                 completion<T> done)
{
    // The caller may drop its client and the engine object while the call is under way.
    const auto alive = shared_from_this();
    failure result;
    T value{};
    try {
        auto returned = co_await std::move(work);
        if constexpr (std::is_same_v<Returned, T>)
            value = std::move(returned);
        else if (returned)
            value = std::move(*returned);
        else
            result = returned.error();
    } catch (...) {
        result = failure_of(std::current_exception());
    }
    async::complete(shared_.executor, std::move(done), std::move(result), std::move(value));
}

} // namespace pawl::detail
