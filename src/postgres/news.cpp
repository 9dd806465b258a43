#include "postgres/news.hpp"

#include "pawl/error.hpp"
#include "postgres/listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <random>

namespace pawl::postgres {

namespace asio = boost::asio;

namespace {

/// PostgreSQL's limit is 7999 bytes.
constexpr std::size_t longest_payload = 7000;

std::string random_origin()
{
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

void merge(std::optional<time_point>& into, const std::optional<time_point>& other)
{
    if (other && (!into || *other < *into))
        into = other;
}

/// "origin shard:due shard:", where an empty due means none.
std::string entry_of(std::uint32_t shard, const std::optional<time_point>& due)
{
    return due ? fmt::format(" {}:{}", shard, due->time_since_epoch().count())
               : fmt::format(" {}:", shard);
}

} // namespace

news::news(asio::any_io_executor executor, std::shared_ptr<pool> asking,
           std::shared_ptr<const target> where, std::shared_ptr<const queries> statements,
           const postgres_options& options)
    : executor_(std::move(executor)), asking_(std::move(asking)), where_(std::move(where)),
      statements_(std::move(statements)), options_(options), origin_(random_origin())
{
}

void news::tell(const due_by_shard& what)
{
    std::vector<shard_news> all;
    all.reserve(what.size());
    for (const auto& [shard, due] : what)
        all.push_back({.shard = shard, .due = due});
    std::vector<std::shared_ptr<const news_function>> hearers;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [number, hear] : hearers_)
            hearers.push_back(hear);
    }
    for (const auto& hear : hearers)
        (*hear)(all);
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
    std::vector<std::string> payloads;
    for (const auto& [shard, due] : untold_) {
        if (payloads.empty() || payloads.back().size() > longest_payload)
            payloads.push_back(origin_);
        payloads.back() += entry_of(shard, due);
    }
    untold_.clear();
    is_notifying_ = !payloads.empty();
    return payloads;
}

/// The first commit is told of at once, those that follow it soon together.
asio::awaitable<void> news::notify_later(std::shared_ptr<news> self)
{
    asio::steady_timer timer{self->executor_};
    for (;;) {
        auto payloads = self->take_payloads();
        if (payloads.empty())
            co_return;
        try {
            co_await self->asking_->run(self->statements_->notify(payloads));
        } catch (const error&) {
            // The others ask now and then.
        }
        timer.expires_after(self->options_.notify_delay);
        asio::use_awaitable_t<> token;
        co_await timer.async_wait(asio::as_tuple(token));
    }
}

namespace {

/// What listen() returns.
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

std::shared_ptr<void> news::listen(news_function hear)
{
    std::uint64_t number = 0;
    std::shared_ptr<listener> begun;
    {
        const std::lock_guard lock{mutex_};
        number = next_hearer_++;
        hearers_.emplace(number, std::make_shared<const news_function>(std::move(hear)));
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
