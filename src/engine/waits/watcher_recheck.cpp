#include "engine/waits/watcher_recheck.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr duration pause = std::chrono::seconds{1};

} // namespace

watcher_recheck::watcher_recheck(engine_parts& shared, std::shared_ptr<watchers> all_watchers)
    : shared_(shared), watchers_(std::move(all_watchers)),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_))
{
}

void watcher_recheck::ask_store(run_id run)
{
    for (auto& waiting : watchers_->find(run))
        shared_.background.spawn(shared_.executor, ask_watcher(std::move(waiting)));
}

void watcher_recheck::recheck_run(run_id run)
{
    if (watchers_->find(run).empty())
        return;
    {
        const std::lock_guard lock{mutex_};
        runs_.insert(run);
        if (std::exchange(working_, true))
            return;
    }
    shared_.background.spawn(strand_, recheck_runs());
}

void watcher_recheck::stop()
{
    asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> watcher_recheck::recheck_runs()
{
    for (;;) {
        if (!shared_.cancelling)
            co_await wait(*timer_, pause);
        std::unordered_set<run_id> runs;
        {
            const std::lock_guard lock{mutex_};
            runs = std::exchange(runs_, {});
            if (runs.empty() || shared_.cancelling) {
                working_ = false;
                co_return;
            }
        }
        for (const auto& run : runs)
            for (auto& waiting : watchers_->find(run))
                co_await ask_watcher(std::move(waiting));
    }
}

asio::awaitable<void> watcher_recheck::ask_watcher(std::shared_ptr<watcher> waiting)
{
    bool answered = true;
    try {
        co_await waiting->ask_store(shared_.store, *watchers_);
    } catch (...) {
        answered = false;
    }
    if (!answered)
        recheck_run(waiting->run());
}

} // namespace pawl::engine_detail
