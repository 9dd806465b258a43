// Rows that another session has locked: the changes that need them wait, and nobody else does.
#include "postgres/cluster.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

BOOST_AUTO_TEST_SUITE(postgres_locks)

using namespace postgres_test;
using pawl::apply_status;

namespace {

constexpr std::uint32_t shards = 4;

/// Another session's, until it is released.
class row_lock {
public:
    row_lock(const std::string& schema, const std::string& row)
    {
        other_.ask("BEGIN");
        other_.ask(fmt::format("SELECT count(*) FROM (SELECT FROM {}.{} FOR NO KEY UPDATE) rows",
                               schema, row));
    }

    void release() { other_.ask("ROLLBACK"); }

private:
    session other_;
};

row_lock lock_shard(const std::string& schema, std::uint32_t shard)
{
    return {schema, fmt::format("shards WHERE shard = {}", shard)};
}

std::shared_ptr<pawl::record_store> open_in(const std::string& schema,
                                            pawl::duration lock_timeout = 1min)
{
    return pawl::open_postgres(backend(), server().uri(),
                               {.schema = schema, .shards = shards, .lock_timeout = lock_timeout});
}

/// The first version of a run in this shard.
pawl::transition start_in(std::uint32_t shard, std::uint8_t number)
{
    for (int i = 0;; ++i) {
        const auto id = fmt::format("order-{}-{}", number, i);
        if (pawl::shard_of(id, shards) == shard)
            return store_as(make_run(number, id));
    }
}

pawl::transition next_of(pawl::transition last)
{
    ++last.next.version;
    return store_as(last.next);
}

template <typename Result>
Result get(std::future<Result>& result)
{
    if (result.wait_for(patience) != std::future_status::ready)
        throw std::runtime_error("a call did not end in time");
    return result.get();
}

/// Begins a call, which goes on beside the test.
template <typename Result>
std::future<Result> begin(asio::awaitable<Result> call)
{
    return asio::co_spawn(backend(), std::move(call), asio::use_future);
}

pawl::applied_batch apply_apart(pawl::record_store& store, const std::vector<pawl::change>& batch)
{
    auto applied = begin(store.apply_apart(batch));
    return get(applied);
}

/// The results of all changes that wait, by index.
asio::awaitable<std::map<std::size_t, pawl::late_result>>
collect(std::shared_ptr<pawl::waiting_changes> pending)
{
    std::map<std::size_t, pawl::late_result> all;
    for (bool more = true; more;) {
        auto known = co_await pending->next();
        more = !known.empty();
        for (auto& each : known)
            all.emplace(each.index, std::move(each));
    }
    co_return all;
}

std::string text_of(const std::exception_ptr& failure)
{
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& thrown) {
        return thrown.what();
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(changes_of_other_shards_go_on_beside_a_locked_one)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    auto lock = lock_shard(schema, 1);
    const auto hindered = start_in(1, 1);
    const auto free = start_in(2, 2);
    const auto first = apply_apart(*store, {hindered, free});
    BOOST_TEST(first.waiting == std::vector<std::size_t>{0}, boost::test_tools::per_element());
    BOOST_TEST(first.results.at(1).status == apply_status::accepted);

    // What comes later stands behind it in its shard, and goes on in the others.
    const auto second = apply_apart(*store, {next_of(free), next_of(hindered), start_in(3, 3)});
    BOOST_TEST(second.waiting == std::vector<std::size_t>{1}, boost::test_tools::per_element());
    BOOST_TEST(second.results.at(0).status == apply_status::accepted);
    BOOST_TEST(second.results.at(2).status == apply_status::accepted);

    auto first_rest = begin(collect(first.pending));
    auto second_rest = begin(collect(second.pending));
    lock.release();
    BOOST_TEST(get(first_rest).at(0).result.status == apply_status::accepted);
    BOOST_TEST(get(second_rest).at(1).result.status == apply_status::accepted);
    BOOST_TEST(finish(store->history(hindered.next.id, 0, 10)).size() == 2u);
    BOOST_TEST(!apply_apart(*store, {next_of(next_of(hindered))}).pending);
}

BOOST_AUTO_TEST_CASE(changes_of_a_locked_shard_fail_alone)
{
    const auto schema = fresh_schema();
    const collected_log log;
    const auto store = pawl::open_postgres(
        backend(), server().uri(),
        {.schema = schema, .shards = shards, .lock_timeout = 300ms, .log = log.sink()});
    auto lock = lock_shard(schema, 1);
    const auto hindered = start_in(1, 1);
    const auto batch = apply_apart(*store, {hindered, start_in(2, 2)});
    BOOST_TEST(batch.results.at(1).status == apply_status::accepted);
    auto rest = begin(collect(batch.pending));
    const auto failure = get(rest).at(0).failure;
    BOOST_REQUIRE(failure);
    BOOST_TEST(text_of(failure).find("lock timeout") != std::string::npos, text_of(failure));
    BOOST_TEST(log.count("shard 1") == 1u);
    BOOST_TEST(apply_one(*store, start_in(3, 3)).status == apply_status::accepted);
    lock.release();
    BOOST_TEST(!finish(store->find(hindered.next.id)));
    BOOST_TEST(apply_one(*store, hindered).status == apply_status::accepted);
}

BOOST_AUTO_TEST_CASE(each_kind_of_change_waits_for_its_shard)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    auto ended = start_in(1, 1);
    ended.next.state = pawl::run_state::completed;
    ended.next.wake_at.reset();
    const auto open = start_in(1, 2);
    const auto free = start_in(2, 3);
    for (const auto& each : {ended, open, free})
        apply_one(*store, each);
    pawl::delivery sent;
    sent.content.run = open.next.id;
    auto sent_elsewhere = sent;
    sent_elsewhere.content.run = free.next.id;

    auto lock = lock_shard(schema, 1);
    const auto batch = apply_apart(*store, {
                                               pawl::removal{ended.next.id, 1},
                                               sent,
                                               sent_elsewhere,
                                               pawl::cursor_move{"hooks", 1, 5},
                                               pawl::cursor_move{"hooks", 2, 5},
                                               pawl::delivery{},
                                           });
    BOOST_TEST(batch.waiting == (std::vector<std::size_t>{0, 1, 3}),
               boost::test_tools::per_element());
    BOOST_TEST(batch.results.at(2).status == apply_status::accepted);
    BOOST_TEST(batch.results.at(4).status == apply_status::accepted);
    BOOST_TEST(batch.results.at(5).status == apply_status::not_found);
    auto rest = begin(collect(batch.pending));
    lock.release();
    for (const auto& [index, each] : get(rest))
        BOOST_TEST(each.result.status == apply_status::accepted, index);
    BOOST_TEST(!finish(store->find(ended.next.id)));
    BOOST_TEST(finish(store->inbox(open.next.id, 0, 10)).size() == 1u);
    BOOST_TEST(finish(store->cursor("hooks", 1)) == 5u);
}

BOOST_AUTO_TEST_CASE(a_publication_is_stored_with_the_change_before_it)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    pawl::publication letter;
    letter.topic = "letters";
    auto lock = lock_shard(schema, 1);
    const auto batch = apply_apart(*store, {start_in(1, 1), letter, start_in(2, 2), letter});
    BOOST_TEST(batch.waiting == (std::vector<std::size_t>{0, 1}), boost::test_tools::per_element());
    BOOST_TEST(finish(store->topic_end("letters")) == 1u);
    auto rest = begin(collect(batch.pending));
    lock.release();
    BOOST_TEST(get(rest).size() == 2u);
    BOOST_TEST(finish(store->topic_end("letters")) == 2u);
}

BOOST_AUTO_TEST_CASE(changes_go_on_beside_a_locked_topic)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    pawl::publication news;
    news.topic = "news";
    pawl::publication orders;
    orders.topic = "orders";
    apply_one(*store, news);
    row_lock lock{schema, "topics"};
    const auto batch = apply_apart(*store, {start_in(1, 1), news, start_in(2, 2), orders});
    BOOST_TEST(batch.waiting == (std::vector<std::size_t>{0, 1}), boost::test_tools::per_element());
    // It comes after the start, which waits with its publication.
    const auto later = apply_apart(*store, {next_of(start_in(1, 1))});
    BOOST_TEST(later.waiting.size() == 1u);
    auto rest = begin(collect(batch.pending));
    auto later_rest = begin(collect(later.pending));
    lock.release();
    BOOST_TEST(get(rest).size() == 2u);
    BOOST_TEST(get(later_rest).at(0).result.status == apply_status::accepted);
    BOOST_TEST(finish(store->topic_end("news")) == 2u);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_waits_keeps_no_other_waiting)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    auto lock = lock_shard(schema, 1);
    const std::vector<pawl::change> all{start_in(1, 1), start_in(2, 2)};
    auto waits = begin(store->apply(all));
    const auto other = start_in(2, 3);
    BOOST_TEST(apply_one(*store, other).status == apply_status::accepted);
    BOOST_TEST(apply_one(*store, next_of(other)).status == apply_status::accepted);
    BOOST_TEST(!finish(store->find(std::get<pawl::transition>(all[1]).next.id)));
    lock.release();
    for (const auto& each : get(waits))
        BOOST_TEST(each.status == apply_status::accepted);
}

BOOST_AUTO_TEST_CASE(one_change_that_is_refused_fails_alone_behind_a_lock)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    const auto bad = start_in(1, 7);
    apply_one(*store, start_in(1, 1));
    ask(fmt::format("ALTER TABLE {}.runs ADD CONSTRAINT not_bad CHECK (foreign_id <> '{}')", schema,
                    bad.next.foreign_id));
    auto lock = lock_shard(schema, 1);
    const auto batch = apply_apart(*store, {start_in(1, 2), bad, start_in(1, 3)});
    BOOST_TEST(batch.waiting.size() == 3u);
    auto rest = begin(collect(batch.pending));
    lock.release();
    const auto all = get(rest);
    BOOST_TEST((!all.at(0).failure && all.at(0).result.status == apply_status::accepted));
    BOOST_REQUIRE(all.at(1).failure);
    BOOST_TEST(text_of(all.at(1).failure).find("not_bad") != std::string::npos);
    BOOST_TEST((!all.at(2).failure && all.at(2).result.status == apply_status::accepted));
}

BOOST_AUTO_TEST_CASE(a_batch_is_not_repeated_when_its_trim_cannot_be_completed)
{
    const auto schema = fresh_schema();
    const auto store = open_in(schema);
    pawl::publication news;
    news.topic = "news";
    const std::vector<pawl::change> many(6'000, news);
    finish(store->apply(many));
    // The first statement of the trim deletes a part of the events; the second one fails.
    ask(fmt::format("CREATE SEQUENCE {0}.deletions; "
                    "CREATE FUNCTION {0}.fail_second() RETURNS trigger LANGUAGE plpgsql AS $$ "
                    "BEGIN IF nextval('{0}.deletions') = 2 THEN RAISE lock_not_available; END IF; "
                    "RETURN NULL; END $$; "
                    "CREATE TRIGGER fail_second BEFORE DELETE ON {0}.topic_events "
                    "FOR EACH STATEMENT EXECUTE FUNCTION {0}.fail_second()",
                    schema));
    const auto was_stored = fails_with(pawl::errc::store_unavailable, {"the changes were stored"});
    const std::vector<pawl::change> batch{news, pawl::topic_trim{"news", 6'000}};
    BOOST_CHECK_EXCEPTION(apply_apart(*store, batch), pawl::error, was_stored);
    BOOST_TEST(finish(store->topic_end("news")) == 6'001u);
    apply_one(*store, batch.back());
    BOOST_TEST(finish(store->topic_events("news", 0, 10)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(leases_do_not_wait_long_for_locked_rows)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(
        backend(), server().uri(),
        {.schema = schema, .shards = shards, .statement_timeout = 1h, .lock_timeout = 1h});
    const auto held = finish(store->claim({0, 1, 2, 3}, "a", 1h));
    const auto role = finish(store->claim_role("reports", "a", 1h)).value();
    const auto times_out = fails_with(pawl::errc::store_unavailable, {"lock timeout"});
    {
        row_lock lock{schema, "roles"};
        auto renewal = begin(store->claim_role("reports", "a", 1h));
        BOOST_CHECK_EXCEPTION(get(renewal), pawl::error, times_out);
        auto release = begin(store->release_role(role));
        BOOST_CHECK_EXCEPTION(get(release), pawl::error, times_out);
        // A role that another owner holds need not be locked.
        auto other = begin(store->claim_role("reports", "b", 1h));
        BOOST_TEST(!get(other));
        lock.release();
        BOOST_TEST(finish(store->claim_role("reports", "a", 1h))->epoch == role.epoch);
    }
    row_lock lock{schema, "leases WHERE shard = 1"};
    auto release = begin(store->release(held));
    BOOST_CHECK_EXCEPTION(get(release), pawl::error, times_out);
    for (const auto& each : finish(store->leases()))
        BOOST_TEST(each.owner == (each.shard == 1 ? "a" : ""));
    lock.release();
    finish(store->release(held));
    BOOST_TEST(finish(store->leases()).at(1).owner == "");
}

BOOST_AUTO_TEST_CASE(an_engine_keeps_its_leases_beside_locked_roles)
{
    cluster all;
    auto& a = all.start_beside("a");
    all.wait_until([&] { return a.leases().size() == shard_count; });
    row_lock lock{all.schema, "roles"};
    const auto lease_end = [&] {
        return std::stoll(ask("SELECT min(lease_until) FROM " + all.schema + ".leases"));
    };
    for (int renewals = 0; renewals < 3; ++renewals) {
        const auto before = lease_end();
        all.wait_until([&] { return lease_end() > before; });
    }
    BOOST_TEST(a.leases().size() == shard_count);
    for (const auto run : all.trigger(a, all.ids_of(a, 4)))
        all.check_history(a, all.end_of(a, run).id);
    lock.release();
}

BOOST_AUTO_TEST_CASE(an_engine_drives_its_other_shards_and_keeps_its_leases)
{
    cluster all;
    auto& a = all.start_beside("a");
    all.wait_until([&] { return a.leases().size() == shard_count; });
    const auto ids = all.ids_of(a, 40);
    const auto shard = pawl::shard_of(ids.front(), shard_count);
    row_lock lock{all.schema, fmt::format("shards WHERE shard = {}", shard)};
    std::map<std::string, std::future<pawl::run_id>> started;
    for (const auto& id : ids)
        started.emplace(
            id, asio::co_spawn(a.io, a.client->async_trigger(id, parcel{}, {}, asio::use_awaitable),
                               asio::use_future));
    for (auto& [id, run] : started)
        if (pawl::shard_of(id, shard_count) != shard)
            all.end_of(a, get(run));
    // Of that shard too.
    const auto lease_end = [&] {
        return std::stoll(ask("SELECT min(lease_until) FROM " + all.schema + ".leases"));
    };
    const auto before = lease_end();
    all.wait_until([&] { return lease_end() > before; });
    BOOST_TEST((started.at(ids.front()).wait_for(0s) == std::future_status::timeout));
    BOOST_TEST(a.leases().size() == shard_count);
    BOOST_TEST(a.counted->late == 0);

    lock.release();
    for (auto& [id, run] : started)
        if (pawl::shard_of(id, shard_count) == shard)
            all.check_history(a, all.end_of(a, get(run)).id);
}

BOOST_AUTO_TEST_SUITE_END()
