// Who hears of commits: listeners of the store itself, of other stores, with and without LISTEN,
// and after the connection was lost.
#include "postgres/support.hpp"
#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>

namespace {

using namespace std::chrono_literals;

/// Collects news.
class ear {
public:
    explicit ear(pawl::record_store& store)
        : handle_(store.listen([heard = heard_](std::span<const pawl::shard_news> news) {
              const std::lock_guard lock{heard->mutex};
              for (const auto& each : news) {
                  ++heard->counts[each.shard];
                  if (each.due)
                      heard->due[each.shard] = *each.due;
              }
              heard->changed.notify_all();
          }))
    {
    }

    /// Until the shard was told so since the last forget().
    void wait_for(std::uint32_t shard, pawl::time_point due)
    {
        std::unique_lock lock{heard_->mutex};
        heard_->changed.wait(lock, [&] {
            const auto found = heard_->due.find(shard);
            return found != heard_->due.end() && found->second == due;
        });
    }

    /// Until it listens: what was before is told as a gap.
    void wait_for_gap(std::uint32_t shards)
    {
        for (std::uint32_t shard = 0; shard < shards; ++shard)
            wait_for(shard, pawl::time_point::min());
        forget();
    }

    void forget()
    {
        const std::lock_guard lock{heard_->mutex};
        heard_->due.clear();
        heard_->counts.clear();
    }

    int count(std::uint32_t shard)
    {
        const std::lock_guard lock{heard_->mutex};
        return heard_->counts[shard];
    }

    bool has_due(std::uint32_t shard)
    {
        const std::lock_guard lock{heard_->mutex};
        return heard_->due.contains(shard);
    }

    void close() { handle_.reset(); }

private:
    struct collected {
        std::mutex mutex;
        std::condition_variable changed;
        std::map<std::uint32_t, pawl::time_point> due;
        std::map<std::uint32_t, int> counts;
    };

    std::shared_ptr<collected> heard_ = std::make_shared<collected>();
    std::shared_ptr<void> handle_;
};

pawl::record run_due(std::uint8_t number, pawl::time_point due)
{
    auto run = make_run(number, "order-" + std::to_string(number));
    run.wake_at = due;
    return run;
}

std::uint32_t shard_of(const pawl::record& run, const pawl::record_store& store)
{
    return pawl::shard_of(run.foreign_id, store.shards());
}

} // namespace

BOOST_AUTO_TEST_SUITE(postgres_news)

BOOST_AUTO_TEST_CASE(a_store_hears_its_own_commits_before_they_are_reported)
{
    const auto store = open_fresh({.shards = 4});
    ear here{*store};
    here.wait_for_gap(4);
    const auto run = run_due(1, pawl::time_point{77s});
    apply_one(*store, store_as(run));
    BOOST_TEST(here.count(shard_of(run, *store)) == 1);
    here.wait_for(shard_of(run, *store), *run.wake_at);

    // What was refused is no news, what wakes nobody is news without a time.
    here.forget();
    apply_one(*store, store_as(run));
    BOOST_TEST(here.count(shard_of(run, *store)) == 0);
    auto next = run;
    ++next.version;
    next.wake_at.reset();
    apply_one(*store, store_as(next));
    BOOST_TEST(here.count(shard_of(run, *store)) == 1);
}

BOOST_AUTO_TEST_CASE(what_the_owner_of_a_shard_commits_is_due_for_nobody_else)
{
    const auto store = open_fresh({.shards = 1});
    const auto held = finish(store->claim({0}, "owner", 1min));
    BOOST_REQUIRE(held.size() == 1);
    ear here{*store};
    here.wait_for_gap(1);
    here.forget();
    auto run = run_due(1, pawl::time_point{5s});
    auto start = store_as(run);
    start.epoch = held.front().epoch;
    apply_one(*store, start);
    BOOST_TEST(here.count(0) == 1);
    BOOST_TEST(!here.has_due(0));
}

BOOST_AUTO_TEST_CASE(other_stores_hear_of_commits)
{
    for (const bool poll_only : {false, true}) {
        const auto schema = fresh_schema();
        const pawl::postgres_options options{.schema = schema,
                                             .shards = 4,
                                             .poll_only = poll_only,
                                             .poll_interval = poll_only ? pawl::duration{10ms}
                                                                        : pawl::duration{1h}};
        const auto here = pawl::open_postgres(backend(), server().uri(), options);
        const auto there = pawl::open_postgres(backend(), server().uri(), options);
        ear heard{*there};
        heard.wait_for_gap(4);
        for (std::uint8_t i = 1; i < 20; ++i) {
            // The earliest of its shard each time, because a poll can only tell that.
            const auto run = run_due(i, pawl::time_point{1000s - i * 1s});
            apply_one(*here, store_as(run));
            heard.wait_for(shard_of(run, *here), *run.wake_at);
        }
        pawl::delivery message;
        message.content.run = make_run(1, "").id;
        message.content.sent_at = pawl::time_point{5s};
        apply_one(*here, message);
        heard.wait_for(shard_of(run_due(1, {}), *here), pawl::time_point{5s});
    }
}

BOOST_AUTO_TEST_CASE(a_lost_connection_is_a_gap_that_is_told)
{
    const auto schema = fresh_schema();
    const pawl::postgres_options options{.schema = schema, .shards = 3, .poll_interval = 1h};
    const auto store = pawl::open_postgres(backend(), server().uri(), options);
    ear heard{*store};
    heard.wait_for_gap(3);
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN pawl_news_" +
        schema + "'");
    heard.wait_for_gap(3);
    const auto other = pawl::open_postgres(backend(), server().uri(), options);
    const auto run = run_due(1, pawl::time_point{9s});
    apply_one(*other, store_as(run));
    heard.wait_for(shard_of(run, *store), *run.wake_at);
}

BOOST_AUTO_TEST_CASE(notifications_lost_on_the_way_are_found_by_asking)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(),
                                           {.schema = schema, .shards = 3, .poll_interval = 10ms});
    ear heard{*store};
    heard.wait_for_gap(3);
    // A store that does not notify.
    const auto silent =
        pawl::open_postgres(backend(), server().uri(), {.schema = schema, .poll_only = true});
    const auto run = run_due(1, pawl::time_point{9s});
    apply_one(*silent, store_as(run));
    heard.wait_for(shard_of(run, *store), *run.wake_at);
}

BOOST_AUTO_TEST_CASE(nobody_is_told_after_the_handle_is_gone_and_the_executor_comes_to_rest)
{
    boost::asio::io_context context;
    const auto schema = fresh_schema();
    auto store = pawl::open_postgres(context.get_executor(), server().uri(), {.schema = schema});
    ear first{*store};
    ear second{*store};
    // One of its threads runs it until nothing keeps it busy.
    std::thread running{[&context] {
        context.run();
    }};
    second.wait_for_gap(64);
    first.close();
    apply_one(*store, store_as(run_due(1, pawl::time_point{3s})));
    second.wait_for(shard_of(run_due(1, {}), *store), pawl::time_point{3s});
    second.close();
    store.reset();
    running.join();
}

BOOST_AUTO_TEST_SUITE_END()
