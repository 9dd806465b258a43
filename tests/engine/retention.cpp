// Retention: finished runs stay for their time, are archived, and go with their history; never
// before their hooks have seen them, and never unarchived.
#include "engine/faulty_store.hpp"
#include "pawl/archive.hpp"
#include "printing.hpp"
#include "temporary_folder.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <fstream>

BOOST_AUTO_TEST_SUITE(retention)

using namespace engine_test;
using enum light;

namespace {

pawl::step<off> shine(lamp_run& run)
{
    if (run.object().value < 0)
        co_return pawl::skip();
    co_return pawl::to<off>;
}

/// Remembers what it was given, and fails when it is told to.
class memory_archive final : public pawl::archiver {
public:
    asio::awaitable<void> archive(std::span<const pawl::archived_run> runs) override
    {
        ++calls;
        largest = std::max(largest, runs.size());
        if (fails)
            throw std::runtime_error("the archive is closed");
        kept.insert(kept.end(), runs.begin(), runs.end());
        co_return;
    }

    std::vector<pawl::archived_run> kept;
    int calls = 0;
    std::size_t largest = 0;
    bool fails = false;
};

lamp_builder keeping(pawl::duration keep, std::shared_ptr<pawl::archiver> archive = {},
                     std::size_t batch = 100)
{
    lamp_builder b{"lamps"};
    b.step<red>(shine);
    b.end<off>();
    b.retention({.keep = keep, .archive = std::move(archive), .batch = batch});
    return b;
}

std::vector<pawl::run_id> trigger(world& w, lamps& client, int count, int value = 0)
{
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < count; ++i)
        runs.push_back(w.wait_for(client.async_trigger(
            std::to_string(value) + "/" + std::to_string(i), lamp{.value = value})));
    w.settle();
    return runs;
}

std::size_t count(world& w, lamps& client)
{
    return w.wait_for(client.async_list({.limit = 1000})).runs.size();
}

std::vector<std::string> lines_of(const std::string& path)
{
    std::ifstream file{path};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_finished_run_stays_for_its_time_and_goes_with_its_history)
{
    world w;
    auto client = w.start(keeping(24h).build());
    const auto run = trigger(w, client, 1).front();
    const auto unfinished = trigger(w, client, 1, -1).front();
    w.advance(24h - 1s);
    BOOST_TEST(count(w, client) == 2u);
    w.advance_until([&] { return count(w, client) == 1u; });
    BOOST_TEST(w.wait_for(client.async_history(run)).empty());
    BOOST_TEST(!w.wait_for(client.async_find(run)).has_value());
    w.advance(1000h);
    BOOST_TEST(w.wait_for(client.async_find(unfinished)).has_value());
    for (const auto& what : w.wait_for(w.store->events(0, 0, 1000)))
        BOOST_TEST((what.run == unfinished));
}

BOOST_AUTO_TEST_CASE(nothing_goes_unarchived_and_the_archive_has_all)
{
    world w;
    const auto archive = std::make_shared<memory_archive>();
    archive->fails = true;
    auto client = w.start(keeping(1h, archive).build());
    const auto run = trigger(w, client, 1).front();
    w.advance(1h + 1s);
    w.advance(10s);
    BOOST_TEST(archive->calls >= 2);
    BOOST_TEST(count(w, client) == 1u);
    const auto told = [&] {
        return std::ranges::any_of(w.log, [](const std::string& line) {
            return line.find("the archive is closed") != std::string::npos;
        });
    };
    BOOST_TEST(told());
    archive->fails = false;
    w.advance_until([&] { return count(w, client) == 0u; });
    BOOST_REQUIRE(archive->kept.size() == 1u);
    const auto& kept = archive->kept.front();
    BOOST_TEST((kept.last.id == run));
    BOOST_TEST(kept.last.object == R"({"value":0,"trail":[]})");
    BOOST_REQUIRE(kept.history.size() == 2u);
    BOOST_TEST(kept.history.back().kind == pawl::event_kind::completed);
}

BOOST_AUTO_TEST_CASE(batches_are_bounded_and_follow_each_other)
{
    world w;
    const auto archive = std::make_shared<memory_archive>();
    auto client = w.start(keeping(1h, archive, 7).build());
    trigger(w, client, 50);
    w.advance(1h);
    w.advance_until([&] { return count(w, client) == 0u; }, 2h);
    BOOST_TEST(archive->kept.size() == 50u);
    BOOST_TEST(archive->largest == 7u);
    BOOST_TEST(archive->calls == 8);
}

BOOST_AUTO_TEST_CASE(a_removal_that_is_not_answered_is_archived_again_and_not_lost)
{
    for (const auto what : {fault::refused, fault::answer_lost}) {
        faulty_world w;
        const auto archive = std::make_shared<memory_archive>();
        auto client = w.start(keeping(1h, archive).build());
        trigger(w, client, 3);
        w.faults->next_applies = {what};
        w.advance(1h);
        w.advance_until([&] { return count(w, client) == 0u; });
        BOOST_TEST(archive->kept.size() == (what == fault::refused ? 6u : 3u));
    }
}

BOOST_AUTO_TEST_CASE(hooks_see_a_run_before_it_goes)
{
    world w;
    w.options.hook_retry = {.initial = 2h, .multiplier = 1, .max_interval = 2h, .jitter = 0};
    int told = 0;
    auto b = keeping(1h);
    b.on_complete([&](const pawl::snapshot<lamp, light>& s) -> asio::awaitable<void> {
        if (++told < 3)
            throw std::runtime_error("not yet");
        BOOST_TEST(s.foreign_id == "0/0");
        co_return;
    });
    auto client = w.start(std::move(b).build());
    trigger(w, client, 1);
    w.advance(2h);
    w.advance(1h + 59min);
    BOOST_TEST(told == 2);
    BOOST_TEST(count(w, client) == 1u);
    w.advance_until([&] { return count(w, client) == 0u; });
    BOOST_TEST(told == 3);
}

BOOST_AUTO_TEST_CASE(a_run_goes_even_if_no_hook_wants_its_last_event)
{
    world w;
    auto b = keeping(1h);
    b.on_pause([](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> { co_return; });
    auto client = w.start(std::move(b).build());
    trigger(w, client, 1);
    w.advance(1h);
    w.advance_until([&] { return count(w, client) == 0u; });
}

BOOST_AUTO_TEST_CASE(a_deletion_of_data_makes_a_run_younger)
{
    world w;
    auto client = w.start(keeping(1h).build());
    const auto run = trigger(w, client, 1).front();
    w.advance(59min);
    w.wait_for(client.async_delete_data(run, "asked"));
    w.settle();
    w.advance(59min);
    BOOST_TEST(count(w, client) == 1u);
    w.advance_until([&] { return count(w, client) == 0u; });
}

BOOST_AUTO_TEST_CASE(what_is_due_after_a_downtime_goes_at_the_start)
{
    world w;
    auto client = w.start(keeping(1h).build());
    trigger(w, client, 3);
    w.stop();
    w.clock->advance(2h);
    client = w.start(keeping(1h).build());
    w.settle();
    BOOST_TEST(count(w, client) == 0u);
    // The foreign id is free, also for those that may be used once.
    w.wait_for(
        client.async_trigger("0/0", lamp{}, {.id_reuse = pawl::id_reuse_policy::reject_duplicate}));
}

BOOST_AUTO_TEST_CASE(an_archiver_that_hangs_is_cancelled_by_the_stop)
{
    class slow_archive final : public pawl::archiver {
    public:
        explicit slow_archive(pawl::clock& clock) : clock_(clock) {}

        asio::awaitable<void> archive(std::span<const pawl::archived_run>) override
        {
            begun = true;
            co_await wait_on(clock_, 1000h);
        }

        bool begun = false;

    private:
        pawl::clock& clock_;
    };
    world w;
    const auto archive = std::make_shared<slow_archive>(*w.clock);
    auto client = w.start(keeping(1h, archive).build());
    trigger(w, client, 1);
    w.advance(1h + 1s);
    BOOST_TEST(archive->begun);
    const auto before = w.clock->now();
    w.stop(5s);
    BOOST_TEST((w.clock->now() - before <= 10s));
    for (const auto& line : w.log)
        BOOST_TEST(line.find("internal error") == std::string::npos, line);
}

BOOST_AUTO_TEST_CASE(an_archive_of_json_lines)
{
    temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    pawl::archived_run run;
    run.last.id = *pawl::parse_run_id("018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
    run.last.workflow = "lamps";
    run.last.foreign_id = "a\nb\xff";
    run.last.state = pawl::run_state::completed;
    run.last.object = R"({"value":7})";
    run.history.resize(2);
    const auto write = [&] {
        asio::io_context io;
        const auto archive = pawl::json_lines_archive(path);
        std::exception_ptr failure;
        asio::co_spawn(io, archive->archive(std::span{&run, 1}),
                       [&](std::exception_ptr e) { failure = e; });
        io.run();
        BOOST_TEST(!failure);
    };
    write();
    run.last.object = std::string{"\0\x01\x02\xff", 4};
    write();
    std::ofstream{path, std::ios::app} << R"({"run":"torn)"; // by a crash
    run.last.object = "3";
    write();
    const auto lines = lines_of(path);
    BOOST_REQUIRE(lines.size() == 3u);
    const auto first = boost::json::parse(lines[0]).as_object();
    BOOST_TEST(first.at("run").as_string() == "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
    BOOST_TEST(first.at("foreign_id").as_string() == "YQpi/w=="); // no text
    BOOST_TEST(first.at("object").at("value").as_int64() == 7);
    BOOST_TEST(first.at("history").as_array().size() == 2u);
    BOOST_TEST(boost::json::parse(lines[1]).at("object_base64").as_string() == "AAEC/w==");
    BOOST_TEST(boost::json::parse(lines[2]).at("object").as_int64() == 3);
    BOOST_CHECK_EXCEPTION(
        pawl::json_lines_archive(folder.file("no/such/folder")), pawl::error,
        [](const pawl::error& e) { return e.code() == pawl::errc::store_read_only; });
}

namespace {

/// A foreign id of that shard of two.
std::string id_in(std::uint32_t shard, const std::string& prefix)
{
    for (int i = 0;; ++i)
        if (auto id = prefix + std::to_string(i); pawl::shard_of(id, 2) == shard)
            return id;
}

/// Counts the events that are read from histories.
class counting_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::event>> history(pawl::run_id run, std::uint64_t after,
                                                      std::size_t limit) override
    {
        auto found = co_await inner().history(run, after, limit);
        read += found.size();
        co_return found;
    }

    std::size_t read = 0;
};

/// Lets its finished runs be read when the test opens it.
class gated_store final : public pawl::forwarding_store {
public:
    gated_store(std::shared_ptr<pawl::record_store> inner, std::shared_ptr<pawl::clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::vector<pawl::record>> finished_before(std::uint32_t shard,
                                                               std::string_view workflow,
                                                               pawl::time_point before,
                                                               std::size_t limit) override
    {
        auto found = co_await inner().finished_before(shard, workflow, before, limit);
        if (delay_of_next > 0s)
            co_await wait_on(*clock_, delay_of_next);
        co_return found;
    }

    asio::awaitable<std::vector<pawl::record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, pawl::finished_position after,
                    pawl::time_point before, std::size_t limit) override
    {
        auto found = co_await inner().finished_behind(shard, workflow, after, before, limit);
        if (delay > 0s)
            co_await wait_on(*clock_, delay);
        co_return found;
    }

    pawl::duration delay{};
    pawl::duration delay_of_next{}; ///< of the look for the time of the next round

private:
    const std::shared_ptr<pawl::clock> clock_;
};

/// As world::start, with connectors.
lamps start_with(world& w, pawl::workflow<lamp, light> flow,
                 const std::function<void(pawl::engine&, lamps&)>& prepare)
{
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto client = w.engine->add(std::move(flow));
    prepare(*w.engine, client);
    w.wait_for(w.engine->async_start());
    return client;
}

using arrived = pawl::event_context<lamp, light>;

/// Hands on the events of another source.
class wrapping_source final : public pawl::event_source {
public:
    explicit wrapping_source(std::shared_ptr<pawl::event_source> inner) : inner_(std::move(inner))
    {
    }

    asio::awaitable<std::unique_ptr<pawl::event_receiver>> open(std::string consumer) override
    {
        return inner_->open(std::move(consumer));
    }

private:
    const std::shared_ptr<pawl::event_source> inner_;
};

void pass(world& w, pawl::duration span, pawl::duration step = 1min)
{
    for (pawl::duration gone{}; gone < span; gone += step)
        w.advance(step);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_that_may_not_go_holds_up_no_other)
{
    for (const bool same_shard : {false, true})
        BOOST_TEST_CONTEXT((same_shard ? "of its shard" : "of another shard"))
        {
            world w;
            w.store = pawl::open_memory({.shards = 2});
            const auto stuck = id_in(0, "stuck");
            auto flow = keeping(1h, {}, 1).build();
            auto client = start_with(w, flow, [&](pawl::engine& e, lamps& to) {
                const auto fail = [&](arrived&, pawl::event what) -> asio::awaitable<void> {
                    if (what.foreign_id == stuck)
                        throw std::runtime_error("cannot");
                    co_return;
                };
                e.connect("in", e.events("lamps"), to, fail, {.retry = {.max_attempts = 0}});
            });
            const auto other = id_in(same_shard ? 0 : 1, "good");
            // The one that is stuck is the last of its shard, so that its cursor is not in
            // question.
            const auto good = w.wait_for(client.async_trigger(other, lamp{}));
            w.settle();
            const auto bad = w.wait_for(client.async_trigger(stuck, lamp{}));
            pass(w, 24h);
            BOOST_TEST(!w.wait_for(client.async_find(good)).has_value());
            BOOST_TEST(w.wait_for(client.async_find(bad)).has_value());
        }
}

namespace {

/// Cannot read the history of some runs.
struct damaged_histories final : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;
    std::set<pawl::run_id> runs;

    asio::awaitable<std::vector<pawl::event>> history(pawl::run_id run, std::uint64_t after_version,
                                                      std::size_t limit) override
    {
        if (runs.contains(run))
            throw pawl::error(pawl::errc::store_corrupt, "a history");
        auto found = co_await inner().history(run, after_version, limit);
        co_return found;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_run_whose_history_cannot_be_read_keeps_no_other_from_going)
{
    world w;
    const auto store = std::make_shared<damaged_histories>(w.store);
    w.store = store;
    const auto archive = std::make_shared<memory_archive>();
    auto client = w.start(keeping(1h, archive).build());
    const auto runs = trigger(w, client, 3);
    store->runs.insert(runs[1]);
    pass(w, 24h);
    BOOST_TEST(!w.wait_for(client.async_find(runs[0])).has_value());
    BOOST_TEST(w.wait_for(client.async_find(runs[1])).has_value());
    BOOST_TEST(!w.wait_for(client.async_find(runs[2])).has_value());
    const auto reported = std::ranges::count_if(w.log, [&](const std::string& line) {
        return line.find("finished run " + to_string(runs[1])) != std::string::npos;
    });
    BOOST_TEST(reported == 1);
    store->runs.clear();
    pass(w, 2min);
    BOOST_TEST(!w.wait_for(client.async_find(runs[1])).has_value());
}

BOOST_AUTO_TEST_CASE(a_hook_that_fails_keeps_its_own_run_and_no_other)
{
    world w;
    w.options.hook_retry = {.initial = 1h, .multiplier = 1, .jitter = 0, .max_attempts = 0};
    auto b = keeping(1h, {}, 1);
    b.on_complete([](const pawl::snapshot<lamp, light>& s) -> asio::awaitable<void> {
        if (s.foreign_id == "bad")
            throw std::runtime_error("not yet");
        co_return;
    });
    auto client = w.start(std::move(b).build());
    const auto bad = w.wait_for(client.async_trigger("bad", lamp{}));
    w.settle();
    const auto good = w.wait_for(client.async_trigger("good", lamp{}));
    pass(w, 3h);
    BOOST_TEST(w.wait_for(client.async_find(bad)).has_value());
    BOOST_TEST(!w.wait_for(client.async_find(good)).has_value());
}

BOOST_AUTO_TEST_CASE(whole_histories_are_read_for_an_archive_only)
{
    world w;
    const auto counted = std::make_shared<counting_store>(w.store);
    w.store = counted;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
        if (++run.object().value > 2'000)
            co_return pawl::to<off>;
        co_return pawl::repeat_after(0s);
    });
    b.end<off>();
    b.retention({.keep = 1h});
    b.on_complete([](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> { co_return; });
    auto client = start_with(w, std::move(b).build(), [](pawl::engine& e, lamps& to) {
        const auto see = [](arrived&) -> asio::awaitable<void> {
            co_return;
        };
        e.connect("in", e.events("lamps"), to, see);
    });
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.settle();
    counted->read = 0;
    pass(w, 2h);
    BOOST_TEST(!w.wait_for(client.async_find(run)).has_value());
    BOOST_TEST(counted->read < 256u);
}

BOOST_AUTO_TEST_CASE(a_consumer_keeps_the_runs_whose_events_it_has_not_seen)
{
    for (const bool wrapped : {false, true})
        BOOST_TEST_CONTEXT((wrapped ? "through a source of one's own" : "directly"))
        {
            world w;
            bool works = false;
            int seen = 0;
            const auto begin = [&] {
                return start_with(w, keeping(1h).build(), [&](pawl::engine& e, lamps& to) {
                    std::shared_ptr<pawl::event_source> source = e.events("lamps");
                    if (wrapped)
                        source = std::make_shared<wrapping_source>(source);
                    const auto take = [&](arrived&) -> asio::awaitable<void> {
                        if (!works)
                            throw std::runtime_error("not yet");
                        ++seen;
                        co_return;
                    };
                    e.connect("in", source, to, take, {.retry = {.max_attempts = 0}});
                });
            };
            auto client = begin();
            const auto run = trigger(w, client, 1).front();
            for (int restart = 0; restart < 2; ++restart) {
                pass(w, 3h);
                BOOST_TEST(w.wait_for(client.async_find(run)).has_value());
                w.stop();
                client = begin();
            }
            works = true;
            pass(w, 2h);
            BOOST_TEST(seen == 2); // started, completed
            BOOST_TEST(!w.wait_for(client.async_find(run)).has_value());
        }
}

BOOST_AUTO_TEST_CASE(a_receiver_that_is_open_keeps_what_it_has_not_acknowledged)
{
    world w;
    std::shared_ptr<pawl::event_source> source;
    auto client = start_with(w, keeping(1h).build(),
                             [&](pawl::engine& e, lamps&) { source = e.events("lamps"); });
    auto receiver = w.wait_for(source->open("mine"));
    const auto run = trigger(w, client, 1).front();
    pass(w, 3h);
    BOOST_TEST(w.wait_for(client.async_find(run)).has_value());
    const auto events = w.wait_for(receiver->receive());
    BOOST_TEST(events.size() == 2u);
    w.wait_for(receiver->ack(events.back().position));
    pass(w, 1h);
    BOOST_TEST(!w.wait_for(client.async_find(run)).has_value());
}

BOOST_AUTO_TEST_CASE(nothing_is_archived_once_the_engine_stops)
{
    world w;
    const auto gated = std::make_shared<gated_store>(w.store, w.clock);
    w.store = gated;
    const auto archive = std::make_shared<memory_archive>();
    auto client = w.start(keeping(1h, archive).build());
    trigger(w, client, 1);
    w.advance(59min);
    gated->delay = 10min; // the batch is being read when the stop comes
    w.advance(1min);
    w.advance(1s);
    w.stop(1min);
    BOOST_TEST(archive->calls == 0);
}

BOOST_AUTO_TEST_CASE(a_run_whose_data_waits_to_be_deleted_keeps_no_other_from_going)
{
    world w;
    const auto program = [](bool newer) {
        auto b = keeping(1h, {}, 1);
        b.scrub([](lamp& object) { object.value = -1; });
        if (newer)
            b.upgrade(1, [](boost::json::value&) {});
        return std::move(b).build();
    };
    auto client = w.start(program(true));
    const auto poison = trigger(w, client, 1).front();
    w.stop();
    client = w.start(program(false)); // leaves the object to the newer program
    w.wait_for(client.async_delete_data(poison, "asked"));
    w.advance(1s);
    const auto other = w.wait_for(client.async_trigger("other", lamp{}));
    pass(w, 3h);
    BOOST_TEST(w.wait_for(w.store->find(poison))->state == pawl::run_state::requested_data_deleted);
    BOOST_TEST(!w.wait_for(client.async_find(other)).has_value());
    w.stop();
    client = w.start(program(true));
    w.settle();
    BOOST_TEST(w.wait_for(w.store->find(poison))->state == pawl::run_state::data_deleted);
    pass(w, 2h);
    BOOST_TEST(!w.wait_for(w.store->find(poison)).has_value());
}

BOOST_AUTO_TEST_CASE(a_shard_that_is_acquired_during_the_look_for_the_next_time_is_not_forgotten)
{
    world w;
    const auto shared = pawl::open_memory({.shards = 2, .shared = true, .clock = w.clock});
    const auto gated = std::make_shared<gated_store>(shared, w.clock);
    w.store = gated;
    constexpr auto keep = 24h * 30;
    auto client = w.start(keeping(keep).build());
    pass(w, 5s, 1s);
    const auto run = w.wait_for(client.async_trigger(id_in(0, "a"), lamp{}));
    w.settle();
    w.stop();
    w.advance(keep + 1h);
    // Another engine has the run's shard, until the look at the shard behind it is under way.
    const auto first = w.wait_for(shared->first_shards({"lamps"})).at(0);
    const std::vector<std::uint32_t> wanted{first};
    const auto held = w.wait_for(shared->claim(wanted, "another", 1h));
    BOOST_REQUIRE(held.size() == 1u);
    gated->delay_of_next = 1min;
    client = w.start(keeping(keep).build());
    pass(w, 10s, 1s);
    BOOST_TEST(w.wait_for(w.store->find(run)).has_value());
    w.wait_for(shared->release(held));
    pass(w, 10min, 1s);
    BOOST_TEST(!w.wait_for(w.store->find(run)).has_value());
    gated->delay_of_next = 0s;
}

BOOST_AUTO_TEST_CASE(a_run_whose_shard_is_locked_keeps_no_other_from_going)
{
    /// The removal of one run waits, and fails.
    struct locked_store final : pawl::forwarding_store {
        using pawl::forwarding_store::forwarding_store;

        struct failed final : pawl::waiting_changes {
            explicit failed(std::size_t at) : index(at) {}

            asio::awaitable<std::vector<pawl::late_result>> next() override
            {
                std::vector<pawl::late_result> known;
                if (!std::exchange(is_told, true))
                    known.push_back({index,
                                     {},
                                     std::make_exception_ptr(
                                         pawl::error{pawl::errc::store_unavailable, "a lock"})});
                co_return known;
            }

            const std::size_t index;
            bool is_told = false;
        };

        asio::awaitable<pawl::applied_batch>
        apply_apart(std::span<const pawl::change> batch) override
        {
            pawl::applied_batch applied;
            std::vector<pawl::change> free;
            for (std::size_t i = 0; i < batch.size(); ++i) {
                const auto* removed = std::get_if<pawl::removal>(&batch[i]);
                if (removed && removed->run == locked) {
                    applied.waiting.push_back(i);
                    applied.pending = std::make_shared<failed>(i);
                } else {
                    free.push_back(batch[i]);
                }
            }
            co_await inner().apply(free); // all are accepted
            applied.results.resize(batch.size());
            co_return applied;
        }

        pawl::run_id locked;
    };
    world w;
    const auto store = std::make_shared<locked_store>(w.store);
    w.store = store;
    auto client = w.start(keeping(1h).build());
    const auto runs = trigger(w, client, 5);
    store->locked = runs[2];
    w.advance(1h);
    w.advance(1min);
    BOOST_TEST(count(w, client) == 1u);
    BOOST_TEST(w.wait_for(client.async_find(runs[2])).has_value());
    store->locked = {};
    w.advance(1min);
    w.advance(1min);
    BOOST_TEST(count(w, client) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
