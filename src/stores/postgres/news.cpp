#include "stores/postgres/news.hpp"

#include "stores/postgres/listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <exception>

namespace pawl::postgres {

namespace asio = boost::asio;

news::news(asio::any_io_executor executor, std::shared_ptr<pool> asking,
           std::shared_ptr<const target> where, std::shared_ptr<const queries> statements,
           std::shared_ptr<trouble_log> troubles, const postgres_options& options)
    : executor_(std::move(executor)), asking_(std::move(asking)), where_(std::move(where)),
      statements_(std::move(statements)), troubles_(std::move(troubles)), options_(options),
      origin_(random_origin())
{
}

void news::tell(due_by_shard changed)
{
    changed.erase(changed.lower_bound(shards_), changed.end());
    if (changed.empty())
        return;
    std::vector<shard_change> all;
    all.reserve(changed.size());
    for (const auto& [shard, due] : changed)
        all.push_back({.shard = shard, .due = due});
    std::vector<std::shared_ptr<const change_handler>> hearers;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [number, hear] : hearers_)
            hearers.push_back(hear);
    }
    for (const auto& hear : hearers) {
        try {
            (*hear)(all);
        } catch (...) {
            troubles_->tell(trouble::hearer_failed, std::current_exception());
        }
    }
}

void news::committed(std::span<const stored_wake> wakes)
{
    if (wakes.empty())
        return;
    due_by_shard what;
    for (const auto& wake : wakes)
        merge(what[wake.shard], wake.at);
    tell(what);
    if (options_.poll_only)
        return;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [shard, due] : what)
            merge(untold_[shard], due);
        if (std::exchange(is_notifying_, true))
            return;
    }
    asio::co_spawn(executor_, notify_later(shared_from_this()),
                   [](const std::exception_ptr& escaped) {
                       assert(!escaped);
                       static_cast<void>(escaped);
                   });
}

std::vector<std::string> news::take_payloads()
{
    const std::lock_guard lock{mutex_};
    auto payloads = payloads_of(origin_, std::exchange(untold_, {}));
    is_notifying_ = !payloads.empty();
    return payloads;
}

/// The first commit is told of at once, those that follow it soon together.
asio::awaitable<void> news::notify_later(std::shared_ptr<news> self)
{
    asio::steady_timer timer{self->executor_};
    for (;;) {
        bool has_more = true;
        try {
            const auto payloads = self->take_payloads();
            has_more = !payloads.empty();
            if (has_more)
                co_await self->asking_->run(self->statements_->notify(payloads));
        } catch (...) {
            self->troubles_->tell(trouble::not_notifying, std::current_exception());
        }
        if (!has_more)
            co_return;
        timer.expires_after(self->options_.notify_batch_interval);
        asio::use_awaitable_t<> token;
        co_await timer.async_wait(asio::as_tuple(token));
    }
}

namespace {

/// What subscribe() returns.
class hearing {
public:
    explicit hearing(std::function<void()> end) : end_(std::move(end)) {}
    ~hearing() { end_(); }

    hearing(const hearing&) = delete;
    hearing& operator=(const hearing&) = delete;

private:
    const std::function<void()> end_;
};

} // namespace

std::shared_ptr<void> news::subscribe(change_handler hear)
{
    std::uint64_t number = 0;
    std::shared_ptr<listener> begun;
    {
        const std::lock_guard lock{mutex_};
        number = next_hearer_++;
        hearers_.emplace(number, std::make_shared<const change_handler>(std::move(hear)));
        if (!listener_)
            begun = listener_ = std::make_shared<listener>(shared_from_this());
    }
    if (begun)
        begun->start();
    return std::make_shared<hearing>([self = shared_from_this(), number] {
        std::shared_ptr<listener> ended;
        {
            const std::lock_guard lock{self->mutex_};
            self->hearers_.erase(number);
            if (self->hearers_.empty())
                ended = std::move(self->listener_);
        }
        if (ended)
            ended->stop();
    });
}

} // namespace pawl::postgres
