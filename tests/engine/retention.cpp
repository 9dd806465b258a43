// Retention: finished runs stay for their time, are archived, and go with their history; never
// before their hooks have seen them, and never unarchived.
#include "engine/faulty_store.hpp"
#include "pawl/archive.hpp"
#include "temporary_folder.hpp"

#include <boost/json/parse.hpp>

#include <fstream>

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

BOOST_AUTO_TEST_SUITE(retention)

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
    BOOST_TEST((kept.history.back().kind == pawl::event_kind::completed));
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
    w.wait_for(client.async_trigger("0/0", lamp{}, {.rule = pawl::start_rule::once}));
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

BOOST_AUTO_TEST_SUITE_END()
