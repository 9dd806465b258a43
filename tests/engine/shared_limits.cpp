// Limits that several engines of a shared store divide: nothing is exceeded while leases hold, and
// no engine's runs starve.
#include "engine/cluster.hpp"
#include "printing.hpp"

#include "pawl/limits.hpp"

#include <algorithm>
#include <map>

BOOST_AUTO_TEST_SUITE(shared_limits)

using namespace engine_test;
using enum light;

namespace {

constexpr pawl::limit hundred_a_second{"api", {.rate = 100}};
constexpr pawl::limit one_at_a_time{"api", {.concurrency = 1}};
constexpr pawl::limit ten_at_a_time{"api", {.concurrency = 10}};

/// What the handlers of all engines have done.
struct journal {
    std::vector<pawl::time_point> begun;
    std::map<const member*, int> begun_by;
    int running = 0;
    int most = 0;
};

pawl::step<off> work(lamp_run&, journal* notes, const member* self, pawl::duration span)
{
    notes->begun.push_back(self->clock->now());
    ++notes->begun_by[self];
    notes->most = std::max(notes->most, ++notes->running);
    if (span > 0us)
        co_await wait_on(*self->clock, span);
    --notes->running;
    co_return pawl::to<off>;
}

auto worker(journal& notes, const pawl::limit& declared, pawl::duration span)
{
    return [&notes, declared, span](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&notes, &self, span](lamp_run& run) {
             return work(run, &notes, &self, span);
         }).within(declared);
        b.end<off>();
        return std::move(b).build();
    };
}

void trigger_many(cluster& c, member& by, const std::string& prefix, int count)
{
    int begun = 0;
    for (int i = 0; i < count; ++i)
        by.client->async_trigger(prefix + std::to_string(i), lamp{}, {},
                                 [&begun](pawl::error_code code, pawl::run_id) { begun += !code; });
    c.advance_until([&] { return begun == count; });
}

/// A store with a long way to it.
class slow_roles final : public pawl::forwarding_store {
public:
    slow_roles(std::shared_ptr<pawl::record_store> store, std::shared_ptr<pawl::clock> clock)
        : forwarding_store(std::move(store)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::optional<pawl::role_lease>>
    claim_role(std::string_view role, std::string_view owner, pawl::duration lease) override
    {
        co_await wait_on(*clock_, 10ms);
        auto claimed = co_await inner().claim_role(role, owner, lease);
        co_return claimed;
    }

private:
    const std::shared_ptr<pawl::clock> clock_;
};

/// Engines that have got their shards.
std::vector<member*> start_engines(cluster& c, journal& notes, const pawl::limit& declared,
                                   pawl::duration span, int count)
{
    std::vector<member*> engines;
    for (int i = 0; i < count; ++i) {
        auto& added = c.add();
        added.options.lease_duration = 500ms;
        c.start(added, [&](member& self) {
            self.client = self.engine->add(worker(notes, declared, span)(self));
        });
        engines.push_back(&added);
    }
    c.advance(5s);
    return engines;
}

std::ptrdiff_t begun_between(const journal& notes, pawl::time_point from, pawl::time_point to)
{
    return std::ranges::count_if(notes.begun,
                                 [&](pawl::time_point at) { return from <= at && at < to; });
}

} // namespace

BOOST_AUTO_TEST_CASE(a_rate_holds_over_three_engines_while_one_is_killed)
{
    journal notes;
    cluster c;
    const auto engines = start_engines(c, notes, hundred_a_second, 0us, 3);
    trigger_many(c, *engines[0], "run-", 8'000);
    const auto start = c.clock->now();
    c.advance(15s);
    cluster::cut_off(*engines[1]);
    engines[1]->frozen = true;
    c.advance(25s);
    BOOST_TEST(notes.begun_by.size() == 3u);
    for (auto from = start; from + 10s <= start + 40s; from += 1s) {
        const auto begun = begun_between(notes, from, from + 10s);
        BOOST_TEST_CONTEXT("from " << (from - start).count() / 1'000'000 << " s")
        {
            BOOST_TEST(begun <= 1'050);
            BOOST_TEST(begun >= 950);
        }
    }
}

BOOST_AUTO_TEST_CASE(concurrency_holds_while_engines_come_and_go)
{
    journal notes;
    cluster c;
    auto engines = start_engines(c, notes, ten_at_a_time, 700ms, 2);
    trigger_many(c, *engines[0], "run-", 1'500);
    c.advance(5s);
    BOOST_TEST(notes.running == 10);
    auto& third = c.add();
    third.options.lease_duration = 500ms;
    c.start(third, [&](member& self) {
        self.client = self.engine->add(worker(notes, ten_at_a_time, 700ms)(self));
    });
    c.advance(10s);
    BOOST_TEST(notes.begun_by.size() == 3u);
    c.stop(*engines[0], 10s);
    c.advance(10s);
    BOOST_TEST(notes.running == 10);
    BOOST_TEST(notes.most == 10);
}

BOOST_AUTO_TEST_CASE(a_limit_of_one_is_not_exceeded_and_starves_no_engine)
{
    journal notes;
    cluster c;
    const auto engines = start_engines(c, notes, one_at_a_time, 200ms, 3);
    trigger_many(c, *engines[0], "run-", 300);
    c.advance(40s);
    BOOST_TEST(notes.most == 1);
    BOOST_TEST(notes.begun_by.size() == 3u);
    for (const auto& [engine, begun] : notes.begun_by)
        BOOST_TEST(begun > 15);
    BOOST_TEST(notes.begun.size() > 100u); // of 200 without turns
}

BOOST_AUTO_TEST_CASE(long_attempts_keep_no_engine_from_its_turn)
{
    for (const auto span : {900ms, 1900ms, 2000ms, 4000ms})
        for (const int count : {2, 3}) {
            journal notes;
            cluster c;
            const auto engines = start_engines(c, notes, one_at_a_time, span, count);
            trigger_many(c, *engines[0], "run-", 300);
            c.advance(20 * span);
            BOOST_TEST_CONTEXT(count << " engines, " << span.count() << " ms")
            {
                BOOST_TEST(notes.most == 1);
                BOOST_TEST(notes.begun.size() > 13u); // of 20 without turns
                for (auto* const engine : engines)
                    BOOST_TEST(notes.begun_by[engine] >= 3);
            }
        }
}

BOOST_AUTO_TEST_CASE(a_killed_engine_frees_its_part_with_its_lease)
{
    journal notes;
    cluster c;
    const auto engines = start_engines(c, notes, one_at_a_time, 200ms, 2);
    trigger_many(c, *engines[0], "run-", 200);
    c.advance(3s);
    cluster::cut_off(*engines[0]);
    engines[0]->frozen = true;
    notes.running = 0; // its handler is gone
    c.advance(3s);
    const auto before = notes.begun_by[engines[1]];
    c.advance(5s);
    BOOST_TEST(notes.begun_by[engines[1]] >= before + 20);
    BOOST_TEST(notes.most == 1);
}

BOOST_AUTO_TEST_CASE(numbers_that_an_operator_sets_reach_all_engines)
{
    journal notes;
    cluster c;
    const auto engines = start_engines(c, notes, one_at_a_time, 500ms, 2);
    trigger_many(c, *engines[0], "run-", 400);
    pawl::limits limits{*engines[0]->engine};
    c.wait_for(*engines[0], limits.async_set("api", {.concurrency = 12}, asio::use_awaitable));
    c.advance(12s);
    BOOST_TEST(notes.running == 12);
    BOOST_TEST(notes.most == 12);
    pawl::limits elsewhere{*engines[1]->engine};
    const auto all = c.wait_for(*engines[1], elsewhere.async_list(asio::use_awaitable));
    BOOST_REQUIRE(all.size() == 1u);
    BOOST_TEST(all.front().overridden);
}

BOOST_AUTO_TEST_CASE(keys_whose_claims_take_longer_than_a_lease_all_begin)
{
    constexpr int keys = 1'000; // 10 s for their claims
    int begun = 0;
    cluster c;
    auto& only = c.add();
    only.options.lease_duration = 1s;
    only.options.store = std::make_shared<slow_roles>(c.store, c.clock);
    c.start(only, [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&begun](lamp_run&) -> pawl::step<off> {
             ++begun;
             co_return pawl::to<off>;
         }).within(one_at_a_time, &lamp::value);
        b.end<off>();
        self.client = self.engine->add(std::move(b).build());
    });
    c.advance(5s);
    for (int key = 0; key < keys; ++key)
        only.client->async_trigger("run-" + std::to_string(key), lamp{key, {}}, {},
                                   [](pawl::error_code code, pawl::run_id) { BOOST_TEST(!code); });
    c.advance(40s);
    BOOST_TEST(begun == keys);
}

BOOST_AUTO_TEST_CASE(a_smaller_concurrency_starves_no_engine)
{
    journal notes;
    cluster c;
    const auto engines = start_engines(c, notes, pawl::limit{"api", {.concurrency = 20}}, 1s, 2);
    trigger_many(c, *engines[0], "run-", 800);
    c.advance(5s);
    pawl::limits limits{*engines[0]->engine};
    for (const int concurrency : {3, 1}) {
        c.wait_for(*engines[0],
                   limits.async_set("api", {.concurrency = concurrency}, asio::use_awaitable));
        c.advance(15s); // other engines read the numbers, and attempts end
        notes.most = notes.running;
        notes.begun_by.clear();
        c.advance(20s);
        BOOST_TEST(notes.most == concurrency);
        for (auto* const engine : engines)
            BOOST_TEST(notes.begun_by[engine] >= 5);
    }
}

BOOST_AUTO_TEST_SUITE_END()
