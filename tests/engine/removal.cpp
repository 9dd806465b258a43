// Finished runs that operators remove.
#include "engine/cluster.hpp"
#include "pawl/archive.hpp"
#include "pawl/operations.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(removal)

using namespace engine_test;
using enum light;
using strings = std::vector<std::string>;

namespace {

/// Remembers what it was given, and fails when it is told to.
class listed_archive final : public pawl::archiver {
public:
    asio::awaitable<void> archive(std::span<const pawl::archived_run> runs) override
    {
        if (fails)
            throw std::runtime_error("the archive is closed");
        for (const auto& run : runs)
            kept.push_back(run.last.foreign_id + " " + std::to_string(run.history.size()));
        co_return;
    }

    strings kept;
    bool fails = false;
};

/// Runs with a negative value wait forever.
pawl::step<off> shine(lamp_run& run)
{
    if (run.object().value < 0)
        co_return pawl::skip();
    co_return pawl::to<off>;
}

lamp_builder shining()
{
    lamp_builder b{"lamps"};
    b.step<red>(shine);
    b.end<off>();
    return b;
}

struct removal_world : world {
    std::optional<lamps> client;
    std::optional<pawl::operations> ops;

    explicit removal_world(lamp_builder b)
    {
        client = start(std::move(b).build());
        ops = engine->operations();
    }
    ~removal_world() { client.reset(); }

    pawl::run_id trigger(const std::string& id, int value = 0)
    {
        const auto run = wait_for(client->async_trigger(id, lamp{value, {}}));
        settle();
        return run;
    }

    /// The detail of the refusal; empty if the run was removed.
    std::string remove(pawl::run_id run, pawl::error_code code = {})
    {
        try {
            wait_for(ops->async_remove("lamps", run, {.by = {"ada"}, .reason = "ticket 7"}));
        } catch (const pawl::error& e) {
            BOOST_TEST(e.code() == code);
            return e.detail();
        }
        BOOST_TEST(!code);
        return "";
    }

    bool exists(pawl::run_id run) { return wait_for(client->async_find(run)).has_value(); }

    strings audited()
    {
        strings entries;
        for (const auto& entry : wait_for(ops->async_audit()).entries)
            entries.push_back(entry.action + " " + entry.foreign_id + " " +
                              to_string(entry.outcome));
        return entries;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_finished_run_is_removed_with_its_history)
{
    removal_world w{shining()};
    const auto run = w.trigger("a");
    const auto unfinished = w.trigger("b", -1);
    BOOST_TEST(w.remove(run) == "");
    BOOST_TEST(!w.exists(run));
    BOOST_TEST(w.wait_for(w.ops->async_history(run)).empty());
    BOOST_TEST(w.remove(unfinished, pawl::errc::not_finished)
                   .ends_with("; only a finished run can be removed"));
    BOOST_TEST(w.exists(unfinished));
    w.remove(run, pawl::errc::not_found);
    BOOST_TEST(w.audited() == (strings{"remove a requested", "remove a done", "remove b requested",
                                       "remove b refused", "remove  refused"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_run_is_archived_before_it_is_removed)
{
    const auto archive = std::make_shared<listed_archive>();
    auto b = shining();
    b.retention({.keep = 1000h, .archive = archive});
    removal_world w{std::move(b)};
    const auto run = w.trigger("a");
    archive->fails = true;
    BOOST_TEST(w.remove(run, pawl::errc::unexpected_exception) == "the archive is closed");
    BOOST_TEST(w.exists(run));
    archive->fails = false;
    BOOST_TEST(w.remove(run) == "");
    BOOST_TEST(!w.exists(run));
    BOOST_TEST(archive->kept == (strings{"a 2"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_run_stays_while_a_hook_needs_it)
{
    for (const bool with_retention : {false, true}) {
        auto b = shining();
        if (with_retention)
            b.retention({.keep = 1000h});
        bool is_open = false;
        b.on_complete([&is_open](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> {
            if (!is_open)
                throw std::runtime_error("not yet");
            co_return;
        });
        removal_world w{std::move(b)};
        const auto run = w.trigger("a");
        BOOST_TEST(w.remove(run, pawl::errc::not_finished)
                       .ends_with("is still needed: its hooks have not seen its end"));
        BOOST_TEST(w.exists(run));
        is_open = true;
        w.advance(1h);
        BOOST_TEST(w.remove(run) == "");
        BOOST_TEST(!w.exists(run));
    }
}

BOOST_AUTO_TEST_CASE(only_the_engine_that_owns_the_shard_removes)
{
    cluster c;
    auto& a = c.start([](member&) { return shining().build(); });
    auto& b = c.start([](member&) { return shining().build(); });
    c.advance(20s);
    const auto run = c.trigger(a, c.id_of(a));
    c.advance(1s);
    const auto remove = [&](member& at) {
        std::optional<pawl::error_code> result;
        auto ops = at.engine->operations();
        ops.async_remove("lamps", run, {},
                         [&](pawl::error_code code, pawl::change_result) { result = code; });
        c.advance_until([&] { return result.has_value(); });
        return *result;
    };
    BOOST_TEST(remove(b) == pawl::errc::fenced);
    BOOST_TEST(remove(a) == pawl::error_code{});
    auto& client = c.start([](member&) { return shining().build(); }, false);
    BOOST_TEST(remove(client) == pawl::errc::not_found);
}

BOOST_AUTO_TEST_SUITE_END()
