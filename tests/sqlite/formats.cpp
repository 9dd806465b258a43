// A database file of each format that Pawl has ever written is kept in formats/, and can be opened,
// brought to the present format and continued: nothing that an older Pawl accepted is lost.
#include "engine/support.hpp"
#include "pawl/sqlite.hpp"
#include "printing.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>

#include <filesystem>
#include <fstream>
#include <stdexcept>

BOOST_AUTO_TEST_SUITE(formats)

namespace {

using namespace engine_test;
using enum light;

/// The runs of a fixture, by foreign id:
///  - "retrying":  failed once in red, waits to be tried again, has recorded an effect
///  - "waiting":   waits in yellow for its timeout, with an early callback in its inbox
///  - "paused":    paused by somebody
///  - "finished", "cancelled", "scrubbed": at their ends
pawl::step<yellow> change(lamp_run& run)
{
    run.object().trail.emplace_back("change");
    const auto drawn = co_await run.once("draw", [] { return 7; });
    run.object().value = drawn;
    if (run.attempt() == 1 && run.foreign_id() == "retrying")
        throw std::runtime_error("the lamp flickers");
    co_return pawl::to<yellow>;
}

pawl::step<green> grow_old(lamp_run& run)
{
    run.object().trail.emplace_back("timeout");
    co_return pawl::to<green>;
}

pawl::step<off> switch_off(lamp_run& run, int value)
{
    run.object().trail.push_back("off " + std::to_string(value));
    co_return pawl::to<off>;
}

pawl::step<green> hurry(lamp_run&)
{
    co_return pawl::to<green>;
}

pawl::workflow<lamp, light> lamps_of_old(std::vector<std::string>& completed)
{
    lamp_builder b{"lamps"};
    b.step<red>(change).retry({.initial = 10s, .multiplier = 1, .jitter = 0});
    b.timeout<yellow>(1h, grow_old);
    b.callback<yellow>("hurry", hurry);
    b.callback<green>("switch-off", switch_off);
    b.end<off>();
    b.attribute("last", [](const lamp& object) {
        return object.trail.empty() ? std::nullopt : std::optional{object.trail.back()};
    });
    b.on_complete([&](const pawl::snapshot<lamp, light>& run) -> asio::awaitable<void> {
        completed.push_back(run.foreign_id);
        co_return;
    });
    return std::move(b).build();
}

/// An engine on a file and manual time. The store has threads of its own, so the context is run
/// until what is waited for has happened.
struct file_world {
    asio::io_context io;
    asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store;
    std::vector<std::string> completed; ///< what the hook saw
    pawl::engine engine;
    lamps client;

    file_world(const std::string& path, std::uint32_t shards)
        : store(pawl::open_sqlite(path, {.shards = shards})),
          engine(io.get_executor(), {.store = store, .clock = clock}),
          client(engine.add(lamps_of_old(completed)))
    {
        wait_for(engine.async_start());
    }

    ~file_world() { wait_for(engine.async_stop(0s)); }

    template <class T>
    T wait_for(asio::awaitable<T> operation)
    {
        auto result = asio::co_spawn(io, std::move(operation), asio::use_future);
        while (result.wait_for(0s) != std::future_status::ready)
            io.run_one();
        return result.get();
    }

    pawl::snapshot<lamp, light> latest(const char* name)
    {
        auto found = wait_for(client.async_find_latest(name));
        BOOST_REQUIRE(found.has_value());
        return std::move(*found);
    }

    std::size_t count_of(const pawl::attribute_filter& wanted)
    {
        return wait_for(client.async_list({.attributes = {wanted}})).runs.size();
    }

    /// Waits for the status, moving time on.
    pawl::snapshot<lamp, light> reach(const char* name, light status)
    {
        const auto run = latest(name).id;
        auto reached = asio::co_spawn(io, client.async_await(run, {status}), asio::use_future);
        while (reached.wait_for(0s) != std::future_status::ready) {
            clock->advance(1s);
            io.poll_one();
        }
        return reached.get();
    }
};

std::string file_of(int version)
{
    return std::string{PAWL_FORMATS_FOLDER} + "/v" + std::to_string(version) + ".db";
}

constexpr int newest = 7;

/// As SQLite's own header says it: a big-endian number at byte 60, the user_version.
int stored_version(const std::string& path)
{
    std::ifstream file{path, std::ios::binary};
    unsigned char number[4] = {};
    file.seekg(60).read(reinterpret_cast<char*>(number), sizeof number);
    BOOST_REQUIRE_MESSAGE(file, path << " cannot be read");
    return number[0] << 24 | number[1] << 16 | number[2] << 8 | number[3];
}

} // namespace

/// Not a test: makes the file of the present format, when that has changed, in the source tree. Run
/// it by `test_sqlite --run_test=formats/write`, and never again for a version that was released.
BOOST_AUTO_TEST_CASE(write, *boost::unit_test::disabled())
{
    const auto path = file_of(newest);
    std::filesystem::remove(path);
    file_world w{path, 2};
    const auto trigger = [&](const char* name) {
        return w.wait_for(w.client.async_trigger(name, lamp{}));
    };
    const auto finish = [&](const char* name) {
        trigger(name);
        w.wait_for(w.client.async_call(name, "hurry", 0));
        w.wait_for(w.client.async_call(name, "switch-off", 3));
    };
    finish("finished");
    finish("scrubbed");
    w.wait_for(w.client.async_delete_data("scrubbed", "asked by its owner"));
    trigger("cancelled");
    w.wait_for(w.client.async_cancel("cancelled", "no longer needed"));
    trigger("paused");
    w.wait_for(w.client.async_pause("paused", {"to be looked at", "ops"}));
    const auto waiting = trigger("waiting");
    w.wait_for(w.client.async_await(waiting, {yellow}));
    w.wait_for(w.client.async_send("waiting", "switch-off", 5, {.idempotency_key = "first"}));
    trigger("retrying");
    pawl::publication news{"news", {}};
    news.content.id = "n-1";
    news.content.headers = {{"from", "the fixture"}};
    const std::vector<pawl::change> batch{news};
    w.wait_for(w.store->apply(batch));
    while (w.latest("retrying").attempt == 0 || w.completed.size() < 2 ||
           w.latest("scrubbed").state != pawl::run_state::data_deleted)
        w.io.poll();
}

/// Who adds a version finds out here that its file is missing, and how it is made.
BOOST_AUTO_TEST_CASE(there_is_a_file_of_each_version)
{
    const temporary_folder folder;
    pawl::open_sqlite(folder.file("new.db"));
    BOOST_TEST(stored_version(folder.file("new.db")) == newest,
               "a new format: count `newest` up, and make its file with `test_sqlite "
               "--run_test=formats/write`");
    for (int version = 1; version <= newest; ++version)
        BOOST_TEST(stored_version(file_of(version)) == version);
    BOOST_TEST(!std::filesystem::exists(file_of(newest + 1)));
}

BOOST_AUTO_TEST_CASE(each_is_opened_and_continued)
{
    for (int version = 1; version <= newest; ++version) {
        BOOST_TEST_CONTEXT("version " << version)
        {
            temporary_folder folder;
            const auto path = folder.file("old.db");
            std::filesystem::copy_file(file_of(version), path);
            std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                                         std::filesystem::perm_options::add);
            file_world w{path, 1};
            BOOST_TEST(w.latest("finished").object.trail.back() == "off 3");
            BOOST_TEST(w.latest("scrubbed").state == pawl::run_state::data_deleted);
            BOOST_TEST(w.latest("scrubbed").object.trail.empty());
            BOOST_TEST(w.latest("cancelled").reason == "no longer needed");
            BOOST_TEST(w.latest("paused").reason == "to be looked at");
            BOOST_TEST(w.latest("paused").state == pawl::run_state::paused);
            BOOST_TEST(w.latest("retrying").last_error == "the lamp flickers");
            BOOST_TEST(w.latest("retrying").attempt == 1);

            if (version >= 2) {
                BOOST_TEST(w.latest("paused").requested_by == "ops");
                const auto news = w.wait_for(w.store->topic_events("news", 0, 10));
                BOOST_REQUIRE(news.size() == 1u);
                BOOST_TEST(news.front().headers.at("from") == "the fixture");
            }
            const pawl::attribute_filter ended{"last", "off 3"};
            BOOST_TEST(w.count_of(ended) == (version >= 6 ? 1u : 0u));
            pawl::list_position next;
            do
                next = w.wait_for(w.client.async_fill_attributes(next, 2)).next;
            while (next);
            BOOST_TEST(w.count_of(ended) == 1u);

            // The message of the old file is still known by its key, and waits still.
            const auto again = w.wait_for(
                w.client.async_send("waiting", "switch-off", 9, {.idempotency_key = "first"}));
            BOOST_TEST(again.outcome == pawl::message_outcome::pending);

            w.wait_for(w.client.async_resume("paused"));
            BOOST_TEST(w.reach("waiting", off).object.trail.back() == "off 5");
            const auto retried = w.reach("retrying", green);
            BOOST_TEST(retried.object.value == 7); // the effect of the first attempt
            w.wait_for(w.client.async_call("retrying", "switch-off", 1));
            w.wait_for(w.client.async_call("paused", "switch-off", 2));
            while (w.completed.size() < 3)
                w.io.run_one();
            // Hooks went on where they had been.
            std::ranges::sort(w.completed);
            BOOST_TEST(w.completed == (std::vector<std::string>{"paused", "retrying", "waiting"}),
                       boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
