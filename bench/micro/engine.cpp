// The commit_queue around a store that does nothing, and a run driven from its trigger to its end.
#include "async/task_scope.hpp"
#include "engine/run/commit_queue.hpp"
#include "micro/operation.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "rig.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <stdexcept>
#include <vector>

namespace pawl_bench {

namespace asio = boost::asio;
using pawl::engine_detail::commit_queue;
using pawl::engine_detail::pending_commit;

namespace {

constexpr std::size_t batch_size = 64;

class idle_store final : public pawl::forwarding_store {
public:
    idle_store() : forwarding_store(pawl::open_memory()) {}

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        co_return std::vector<pawl::apply_result>(batch.size());
    }
};

struct commit_stage {
    host threads{1};
    idle_store store;
    pawl::log_sink log = [](const pawl::log_entry&) {
    };
    std::shared_ptr<pawl::clock> clock = pawl::default_clock();
    pawl::async::task_scope running{threads.executor(), log};
    commit_queue commits{threads.executor(),
                         store,
                         running,
                         {1'024, 64u << 20},
                         nullptr,
                         *clock,
                         [](const pawl::change&, const pawl::apply_result*) {
                         }};
    std::vector<pending_commit> items = std::vector<pending_commit>(batch_size);
    asio::steady_timer all_done{threads.context(), asio::steady_timer::time_point::max()};
    std::size_t left = 0;
};

asio::awaitable<void> commit_batch(commit_stage& set)
{
    set.left = set.items.size();
    for (auto& item : set.items)
        set.commits.async_submit(item, asio::bind_executor(set.threads.executor(), [&set] {
                                     if (--set.left == 0)
                                         set.all_done.cancel();
                                 }));
    boost::system::error_code cancelled;
    co_await set.all_done.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

asio::awaitable<void> drive_one(parcels client)
{
    const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
    co_await client.async_await_finished(run);
}

asio::awaitable<void> begin_one(parcels client, std::string key)
{
    co_await client.async_trigger(key, parcel{}, {.start = stage::waiting});
}

asio::awaitable<void> be_refused(parcels client, std::string key)
{
    boost::system::error_code refused;
    co_await client.async_trigger(key, parcel{}, {.start = stage::waiting},
                                  asio::redirect_error(asio::use_awaitable, refused));
    if (refused != pawl::errc::already_running)
        throw std::runtime_error("a second trigger was not refused");
}

} // namespace

std::function<void()> batch_is_committed()
{
    return [set = std::make_shared<commit_stage>()] {
        set->threads.run(commit_batch(*set));
    };
}

std::function<void()> run_is_driven()
{
    return [engine = std::make_shared<rig>(pawl::open_memory())] {
        engine->run(drive_one(engine->client()));
    };
}

std::function<void()> run_is_driven_within_limits()
{
    rig_options how;
    how.limited = true;
    return [engine = std::make_shared<rig>(pawl::open_memory(), how)] {
        engine->run(drive_one(engine->client()));
    };
}

std::function<void()> run_is_driven_on_sqlite()
{
    return [engine = std::make_shared<rig>(pawl::open_sqlite(":memory:"))] {
        engine->run(drive_one(engine->client()));
    };
}

std::function<void()> trigger_is_refused()
{
    const auto engine = std::make_shared<rig>(pawl::open_memory());
    const auto key = next_foreign_id();
    engine->run(begin_one(engine->client(), key));
    return [engine, key] {
        engine->run(be_refused(engine->client(), key));
    };
}

} // namespace pawl_bench
