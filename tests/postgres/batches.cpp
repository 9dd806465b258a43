// Which changes of a batch are decided together, and batches that are too large for one statement.
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"
#include "stores/common/change_size.hpp"
#include "stores/postgres/batch.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(postgres_batches)

namespace {

using pawl::apply_status;
using pawl::change;

change step(std::uint8_t run, std::uint64_t version, const std::string& foreign_id)
{
    auto next = make_run(run, foreign_id);
    next.version = version;
    return store_as(next);
}

change step(std::uint8_t run, std::uint64_t version)
{
    return step(run, version, "order-" + std::to_string(run));
}

change send(std::uint8_t run, const std::string& key = "")
{
    pawl::delivery change;
    change.content.run = make_run(run, "").id;
    change.content.key = key;
    return change;
}

change remove(std::uint8_t run)
{
    return pawl::removal{make_run(run, "").id, 1};
}

change publish(const std::string& topic, const std::string& id)
{
    pawl::publication change;
    change.topic = topic;
    change.content.id = id;
    return change;
}

void expect_waves(const std::vector<change>& batch, const std::vector<int>& wanted)
{
    const auto waves = pawl::postgres::waves_of(batch);
    BOOST_TEST(waves == wanted, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_CASE(changes_of_different_runs_are_decided_together)
{
    expect_waves({step(1, 1), step(2, 1), step(3, 5), send(4), send(5, "key"),
                  pawl::cursor_move{.name = "hooks"}, publish("a", "1"), publish("b", "1")},
                 {0, 0, 0, 0, 0, 0, 0, 0});
    expect_waves({}, {});
}

BOOST_AUTO_TEST_CASE(changes_of_one_run_follow_each_other)
{
    expect_waves({step(1, 1), step(1, 2), step(2, 1), step(1, 3)}, {0, 1, 0, 2});
    // A run may end in the batch in which the next one of its foreign id starts.
    expect_waves({step(1, 9, "same"), step(2, 1, "same"), step(2, 2, "same")}, {0, 1, 2});
    // A message comes after the transitions of its wave.
    expect_waves({step(1, 1), send(1), send(1), step(1, 2), send(1)}, {0, 0, 0, 1, 1});
    expect_waves({send(1), step(1, 2)}, {0, 1});
}

BOOST_AUTO_TEST_CASE(messages_with_a_higher_limit_follow_those_with_a_lower_one)
{
    const auto limited = [](std::uint8_t run, std::uint32_t limit) {
        auto change = std::get<pawl::delivery>(send(run));
        change.max_pending = limit;
        return change;
    };
    expect_waves({limited(1, 9), limited(1, 5), limited(1, 5), limited(1, 0), limited(2, 9)},
                 {0, 0, 0, 0, 0});
    expect_waves({limited(1, 5), limited(1, 9), limited(1, 9), limited(1, 5), limited(1, 9)},
                 {0, 1, 1, 1, 2});
}

BOOST_AUTO_TEST_CASE(changes_with_one_key_follow_each_other)
{
    expect_waves({send(1, "a"), send(1, "b"), send(2, "a"), send(1, "a")}, {0, 0, 0, 1});
    expect_waves({publish("t", "1"), publish("t", "2"), publish("t", "1"), publish("t", "3")},
                 {0, 0, 1, 1});
    expect_waves({publish("t", ""), publish("t", "")}, {0, 0});
    expect_waves(
        {publish("t", "1"), pawl::topic_trim{"t", 1}, publish("t", "1"), publish("u", "1")},
        {0, 0, 1, 0});
}

BOOST_AUTO_TEST_CASE(what_follows_a_removal_waits_for_it)
{
    // Whose foreign id it frees is not known here.
    expect_waves({step(1, 1), remove(2), remove(3), remove(2), step(4, 1), send(5), remove(4)},
                 {0, 0, 0, 1, 2, 2, 2});
}

BOOST_AUTO_TEST_CASE(large_batches_are_cut)
{
    using pawl::postgres::count_fitting;
    auto run = make_run(1, "order-1");
    run.object = std::string(100, 'x');
    const std::vector<change> batch(5, store_as(run));
    const auto size = pawl::core::change_size(batch.front());
    BOOST_TEST(size > 100u);
    BOOST_TEST(count_fitting(batch, 5 * size) == 5u);
    BOOST_TEST(count_fitting(batch, 3 * size - 1) == 2u);
    BOOST_TEST(count_fitting(batch, 10) == 1u);

    const auto store = open_fresh();
    std::vector<change> large;
    for (std::uint8_t i = 1; i <= 40; ++i) {
        run = make_run(i, "order-" + std::to_string(i));
        run.object = std::string(1 << 20, static_cast<char>(i));
        large.push_back(store_as(run));
    }
    large.push_back(large.front());
    const auto results = finish(store->apply(large));
    BOOST_REQUIRE(results.size() == large.size());
    for (std::size_t i = 0; i + 1 < results.size(); ++i)
        BOOST_TEST(results[i].status == apply_status::accepted);
    BOOST_TEST(results.back().status == apply_status::conflict);
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_CASE(a_divided_batch_keeps_publications_with_their_changes)
{
    using pawl::postgres::count_whole_units;
    const std::vector<change> batch{publish("t", ""), step(1, 1),       publish("t", ""),
                                    step(2, 1),       publish("t", ""), publish("t", "")};
    BOOST_TEST(count_whole_units(batch, 6) == 6u);
    BOOST_TEST(count_whole_units(batch, 5) == 3u);
    BOOST_TEST(count_whole_units(batch, 4) == 3u);
    BOOST_TEST(count_whole_units(batch, 3) == 3u);
    BOOST_TEST(count_whole_units(batch, 2) == 1u);
    // A change is not divided from its own publications, however large they are.
    BOOST_TEST(count_whole_units(std::span{batch}.subspan(3), 1) == 3u);
    // Publications of no change may be stored one by one.
    BOOST_TEST(count_whole_units(std::span{batch}.subspan(4), 1) == 1u);

    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    ask("ALTER TABLE " + schema + ".topic_events ADD CONSTRAINT small CHECK (length(payload) < 9)");
    auto run = make_run(1, "order-1");
    run.object = std::string(20 << 20, 'x');
    pawl::publication letter;
    letter.topic = "letters";
    letter.content.payload = std::string(20 << 20, 'x');
    const std::vector<change> large{store_as(run), letter};
    BOOST_CHECK_EXCEPTION(finish(store->apply_apart(large)), pawl::error,
                          fails_with(pawl::errc::invalid_argument, {"small"}));
    BOOST_TEST(!finish(store->find(run.id)));
}

BOOST_AUTO_TEST_CASE(a_storm_on_one_key_is_divided)
{
    using pawl::postgres::count_within_waves;
    std::vector<change> batch;
    for (int i = 0; i < 40; ++i)
        batch.push_back(send(1, "key"));
    BOOST_TEST(count_within_waves(batch, 16) == 16u);
    BOOST_TEST(count_within_waves(std::span{batch}.first(10), 16) == 10u);
    batch.clear();
    for (std::uint8_t i = 0; i < 40; ++i)
        batch.push_back(send(i, "key"));
    BOOST_TEST(count_within_waves(batch, 16) == 40u);
}

BOOST_AUTO_TEST_CASE(each_start_of_a_storm_on_one_key_is_answered)
{
    const auto store = open_fresh();
    std::vector<change> batch;
    for (int i = 0; i < 100; ++i) {
        auto run = make_run(static_cast<std::uint8_t>(i + 1), "wanted by all");
        run.version = 1;
        run.start_key = "one key";
        batch.push_back(store_as(run));
    }
    const auto results = finish(store->apply(batch));
    BOOST_REQUIRE(results.size() == batch.size());
    BOOST_TEST(results.front().status == apply_status::accepted);
    for (std::size_t i = 1; i < results.size(); ++i)
        BOOST_TEST(results[i].status == apply_status::duplicate);
}

BOOST_AUTO_TEST_SUITE_END()
