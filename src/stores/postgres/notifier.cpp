#include "stores/postgres/notifier.hpp"

#include "stores/postgres/notification_listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <exception>

namespace pawl::postgres {

namespace asio = boost::asio;

notifier::notifier(asio::any_io_executor executor, std::shared_ptr<pool> readers,
                   std::shared_ptr<const target> server, std::shared_ptr<const queries> statements,
                   std::shared_ptr<warning_log> warnings, const postgres_options& options)
    : executor_(std::move(executor)), readers_(std::move(readers)), server_(std::move(server)),
      statements_(std::move(statements)), warnings_(std::move(warnings)), options_(options),
      origin_(random_origin())
{
}

void notifier::notify_subscribers(due_by_shard changed)
{
    changed.erase(changed.lower_bound(shards_), changed.end());
    if (changed.empty())
        return;
    std::vector<shard_change> all;
    all.reserve(changed.size());
    for (const auto& [shard, due] : changed)
        all.push_back({.shard = shard, .due = due});
    call_all(subscribers_, all);
}

void notifier::notify_of_requests()
{
    call_all(request_subscribers_);
}

template <class Handler, class... Arguments>
void notifier::call_all(const handlers<Handler>& all, const Arguments&... arguments)
{
    std::vector<std::shared_ptr<const Handler>> called;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [number, handler] : all)
            called.push_back(handler);
    }
    for (const auto& handler : called) {
        try {
            (*handler)(arguments...);
        } catch (...) {
            warnings_->report(warning::handler_failed, std::current_exception());
        }
    }
}

void notifier::notify_commit(std::span<const stored_wake> wakes)
{
    if (wakes.empty())
        return;
    due_by_shard changed;
    for (const auto& wake : wakes)
        merge(changed[wake.shard], wake.at);
    notify_subscribers(changed);
    if (options_.poll_only)
        return;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [shard, due] : changed)
            merge(pending_[shard], due);
        if (std::exchange(is_notifying_, true))
            return;
    }
    asio::co_spawn(executor_, send_notifications(shared_from_this()),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

std::vector<std::string> notifier::take_pending_payloads()
{
    const std::lock_guard lock{mutex_};
    auto payloads = payloads_of(origin_, std::exchange(pending_, {}));
    is_notifying_ = !payloads.empty();
    return payloads;
}

/// Sends the notification of the first commit at once, and those of the following commits together
/// after notify_batch_interval.
asio::awaitable<void> notifier::send_notifications(std::shared_ptr<notifier> self)
{
    asio::steady_timer timer{self->executor_};
    for (;;) {
        bool has_more = true;
        try {
            const auto payloads = self->take_pending_payloads();
            has_more = !payloads.empty();
            if (has_more)
                co_await self->readers_->run(self->statements_->notify(payloads));
        } catch (...) {
            self->warnings_->report(warning::notify_failed, std::current_exception());
        }
        if (!has_more)
            co_return;
        timer.expires_after(self->options_.notify_batch_interval);
        asio::use_awaitable_t<> token;
        co_await timer.async_wait(asio::as_tuple(token));
    }
}

namespace {

/// The handle that subscribe() returns; its destruction ends the subscription.
class subscription {
public:
    explicit subscription(std::function<void()> end) : end_(std::move(end)) {}
    ~subscription() { end_(); }

    subscription(const subscription&) = delete;
    subscription& operator=(const subscription&) = delete;

private:
    const std::function<void()> end_;
};

} // namespace

template <class Handler>
std::shared_ptr<void> notifier::add_subscriber(handlers<Handler>& all, Handler handler)
{
    std::uint64_t number = 0;
    std::shared_ptr<notification_listener> started;
    {
        const std::lock_guard lock{mutex_};
        number = next_subscriber_++;
        all.emplace(number, std::make_shared<const Handler>(std::move(handler)));
        if (!listener_)
            started = listener_ = std::make_shared<notification_listener>(shared_from_this());
    }
    if (started)
        started->start();
    return std::make_shared<subscription>([self = shared_from_this(), &all, number] {
        std::shared_ptr<notification_listener> stopped;
        {
            const std::lock_guard lock{self->mutex_};
            all.erase(number);
            if (self->subscribers_.empty() && self->request_subscribers_.empty())
                stopped = std::move(self->listener_);
        }
        if (stopped)
            stopped->stop();
    });
}

std::shared_ptr<void> notifier::subscribe(change_handler handler)
{
    return add_subscriber(subscribers_, std::move(handler));
}

std::shared_ptr<void> notifier::subscribe_to_requests(std::function<void()> handler)
{
    return add_subscriber(request_subscribers_, std::move(handler));
}

} // namespace pawl::postgres
