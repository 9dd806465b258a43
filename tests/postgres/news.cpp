// Who hears of commits: listeners of the store itself, of other stores, with and without LISTEN,
// and after the connection was lost.
#include "pawl/error.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"
#include "stores/postgres/notification.hpp"

#include <boost/test/unit_test.hpp>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(postgres_news)

namespace {

using namespace std::chrono_literals;

/// Collects news.
class ear {
public:
    explicit ear(pawl::record_store& store)
        : handle_(store.subscribe([heard = heard_](std::span<const pawl::shard_change> news) {
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

    /// Of all shards.
    int all_counts()
    {
        const std::lock_guard lock{heard_->mutex};
        int all = 0;
        for (const auto& [shard, count] : heard_->counts)
            all += count;
        return all;
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

BOOST_AUTO_TEST_CASE(only_whole_notifications_of_a_store_are_read)
{
    const std::string origin = "0123456789abcdef";
    const auto whole = origin + " 3:-7 32767: 4:9 4:5";
    const auto read = pawl::postgres::parse_notification(whole);
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST(read->origin == origin);
    BOOST_TEST(read->changed.size() == 3u);
    BOOST_TEST((read->changed.at(3) == pawl::time_point{pawl::duration{-7}}));
    BOOST_TEST(!read->changed.at(32767).has_value());
    BOOST_TEST((read->changed.at(4) == pawl::time_point{pawl::duration{5}}));
    for (const auto& payload : pawl::postgres::payloads_of(origin, read->changed))
        BOOST_TEST((pawl::postgres::parse_notification(payload)->changed == read->changed));

    for (const std::string rest :
         {" 32768:0", " 4294967295:0", " 4294967296:0", " -1:0", " :", " : ", " 1", " 1;0", " 1:x",
          " 1:0 ", " 1:0x", "1:0", " 123456789012345678901234567890:0",
          " 1:123456789012345678901234567890", " 1:0 2"})
        BOOST_TEST(!pawl::postgres::parse_notification(origin + rest).has_value(), rest);
    for (const std::string payload : {"", "x 1:0", "0123456789ABCDEF 1:0", "0123456789abcde 1:0"})
        BOOST_TEST(!pawl::postgres::parse_notification(payload).has_value(), payload);
}

BOOST_AUTO_TEST_CASE(notifications_of_strangers_are_counted_and_tell_nobody)
{
    const auto schema = fresh_schema();
    const collected_log log;
    const pawl::postgres_options options{
        .schema = schema, .shards = 4, .poll_interval = 1h, .log = log.sink()};
    const auto store = pawl::open_postgres(backend(), server().uri(), options);
    ear heard{*store};
    heard.wait_for_gap(4);

    // NOTIFY needs no privilege at all.
    ask("CREATE ROLE stranger_" + schema + " LOGIN");
    session stranger;
    stranger.ask("SET SESSION AUTHORIZATION stranger_" + schema);
    const auto notify = [&](const std::vector<std::string>& payloads) {
        std::string list;
        for (const auto& payload : payloads)
            list += (list.empty() ? "'" : ", '") + payload + "'";
        stranger.ask("SELECT count(pg_notify('pawl_news_" + schema +
                     "', payload)::text) FROM "
                     "unnest(ARRAY[" +
                     list + "]) payload");
    };
    const std::string origin = "0123456789abcdef";
    notify({"x 4:0", "x 1:0", origin + " 4:0", origin + " 4294967295:0", origin + " -1:0",
            origin + " 123456789012345678901234567890:0", origin + " :",
            origin + " 1:0 4000000000:0", std::string(7999, ' '), std::string(7999, '9')});
    std::minstd_rand random{7};
    const std::string letters = "0123456789abcdef :::   ---x";
    std::vector<std::string> rubbish;
    for (int i = 0; i < 10'000; ++i) {
        std::string payload = i % 2 == 0 ? "" : origin + " ";
        for (auto left = random() % 40; left > 0; --left)
            payload += letters[random() % letters.size()];
        if (!pawl::postgres::parse_notification(payload))
            rubbish.push_back(payload);
    }
    notify(rubbish);

    const auto other = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    const auto run = run_due(1, pawl::time_point{9s});
    apply_one(*other, store_as(run));
    heard.wait_for(shard_of(run, *store), *run.wake_at);
    BOOST_TEST(heard.all_counts() == 1);
    BOOST_TEST(log.count("notification that is not one of Pawl's") >= 1u);
    BOOST_TEST(log.count("notification that is not one of Pawl's") < 10u);
}

BOOST_AUTO_TEST_CASE(rows_with_impossible_shards_are_passed_over)
{
    const auto schema = fresh_schema();
    const collected_log log;
    const pawl::postgres_options options{
        .schema = schema, .shards = 4, .poll_only = true, .poll_interval = 10ms, .log = log.sink()};
    const auto store = pawl::open_postgres(backend(), server().uri(), options);
    ask("INSERT INTO " + schema +
        ".shards (shard) VALUES (-1), (-2147483648), (32768), "
        "(2147483647)");
    ear heard{*store};
    heard.wait_for_gap(4);
    ask("UPDATE " + schema + ".shards SET commits = commits + 1 WHERE shard NOT IN (0, 1, 2, 3)");
    const auto run = run_due(1, pawl::time_point{9s});
    apply_one(*pawl::open_postgres(backend(), server().uri(), options), store_as(run));
    heard.wait_for(shard_of(run, *store), *run.wake_at);
    BOOST_TEST(heard.all_counts() == 1);
    BOOST_TEST(log.wait_for("number out of range"));
    BOOST_TEST(finish(store->leases()).size() == 4u);

    ask("UPDATE " + schema + ".meta SET shards = 0");
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), server().uri(), options), pawl::error,
                          fails_with(pawl::errc::store_corrupt, {schema, "0 shards"}));
    ask("UPDATE " + schema + ".meta SET shards = 4; INSERT INTO " + schema +
        ".workflows (name, first_shard) VALUES ('hostile', -4)");
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), server().uri(), options), pawl::error,
                          fails_with(pawl::errc::store_corrupt, {"-4"}));
}

BOOST_AUTO_TEST_CASE(a_listener_that_throws_keeps_nothing_from_others)
{
    const collected_log log;
    const auto store = open_fresh({.shards = 4, .poll_interval = 10ms, .log = log.sink()});
    const auto throwing = store->subscribe(
        [](std::span<const pawl::shard_change>) { throw std::runtime_error{"no memory, say"}; });
    ear heard{*store};
    const auto run = run_due(1, pawl::time_point{9s});
    BOOST_TEST(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);
    heard.wait_for(shard_of(run, *store), *run.wake_at);
    BOOST_TEST(log.wait_for("no memory, say"));
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
