// A store that decides some changes later than the others of their batch.
#include "engine/support.hpp"
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"

#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <map>

BOOST_AUTO_TEST_SUITE(late_changes)

using namespace engine_test;
using enum light;

namespace {

constexpr auto held_id = "held";

/// Keeps the transitions of one foreign id waiting until it is unlocked.
class holding_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<pawl::applied_batch> apply_apart(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> free;
        std::vector<std::size_t> free_indexes;
        std::vector<pawl::change> held;
        pawl::applied_batch applied;
        bool holds = false;
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const auto* step = std::get_if<pawl::transition>(&batch[i]);
            const bool is_letter = std::holds_alternative<pawl::publication>(batch[i]);
            holds = is_locked_ && (is_letter ? holds : step && step->next.foreign_id == held_id);
            if (holds) {
                held.push_back(batch[i]);
                applied.waiting.push_back(i);
            } else {
                free.push_back(batch[i]);
                free_indexes.push_back(i);
            }
        }
        auto results = co_await inner().apply(free);
        applied.results.resize(batch.size());
        for (std::size_t i = 0; i < results.size(); ++i)
            applied.results[free_indexes[i]] = std::move(results[i]);
        if (!held.empty()) {
            changes_held += held.size();
            applied.pending =
                std::make_shared<held_changes>(*this, std::move(held), applied.waiting);
        }
        co_return applied;
    }

    /// What waits is stored now, or fails with this.
    void unlock(std::exception_ptr failure = nullptr)
    {
        is_locked_ = false;
        failure_ = std::move(failure);
        for (auto* each : waiting_)
            each->cancel();
    }

    std::size_t changes_held = 0;

private:
    class held_changes final : public pawl::waiting_changes {
    public:
        held_changes(holding_store& of, std::vector<pawl::change> changes,
                     std::vector<std::size_t> indexes)
            : of_(of), changes_(std::move(changes)), indexes_(std::move(indexes))
        {
        }

        asio::awaitable<std::vector<pawl::late_result>> next() override
        {
            std::vector<pawl::late_result> known;
            if (std::exchange(is_told_, true))
                co_return known;
            const auto executor = co_await asio::this_coro::executor;
            asio::steady_timer released{executor, asio::steady_timer::time_point::max()};
            of_.waiting_.push_back(&released);
            if (of_.is_locked_)
                co_await released.async_wait(asio::as_tuple(asio::use_awaitable));
            std::erase(of_.waiting_, &released);
            std::vector<pawl::apply_result> results(changes_.size());
            if (!of_.failure_)
                results = co_await of_.inner().apply(changes_);
            for (std::size_t i = 0; i < changes_.size(); ++i)
                known.push_back({indexes_[i], results[i], of_.failure_});
            co_return known;
        }

    private:
        holding_store& of_;
        const std::vector<pawl::change> changes_;
        const std::vector<std::size_t> indexes_;
        bool is_told_ = false;
    };

    bool is_locked_ = true;
    std::exception_ptr failure_;
    std::vector<asio::steady_timer*> waiting_;
};

pawl::step<off> finish(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::workflow<lamp, light> one_step()
{
    lamp_builder b{"lamps"};
    b.step<red>(finish);
    b.end<off>();
    return std::move(b).build();
}

struct held_world : world {
    held_world() { store = held; }

    struct answer {
        pawl::error_code failure;
        pawl::run_id run;
        bool is_there = false;
    };

    /// Goes on beside the test.
    answer& trigger(lamps& c, const std::string& id)
    {
        auto& to = answers.emplace_back();
        c.async_trigger(id, lamp{}, {}, [&to](pawl::error_code failure, pawl::run_id run) {
            to = {failure, run, true};
        });
        return to;
    }

    std::shared_ptr<holding_store> held = std::make_shared<holding_store>(store);
    std::deque<answer> answers;
};

} // namespace

BOOST_FIXTURE_TEST_CASE(other_runs_go_on_meanwhile, held_world)
{
    auto c = start(one_step());
    const auto& late = trigger(c, held_id);
    const auto& free = trigger(c, "free");
    settle();
    BOOST_TEST(held->changes_held == 1u);
    BOOST_TEST(!late.is_there);
    BOOST_TEST(wait_for(engine->async_statistics(asio::use_awaitable)).waiting_changes == 1u);
    BOOST_REQUIRE(free.is_there);
    BOOST_TEST(state_of(c, free.run).status == off);

    held->unlock();
    settle();
    BOOST_REQUIRE(late.is_there);
    BOOST_TEST(!late.failure);
    BOOST_TEST(state_of(c, late.run).status == off);
    BOOST_TEST(wait_for(engine->async_statistics(asio::use_awaitable)).waiting_changes == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_storm_of_starts_is_answered_when_the_first_is_decided, held_world)
{
    auto c = start(one_step());
    for (int i = 0; i < 5; ++i)
        trigger(c, held_id);
    settle();
    BOOST_TEST(held->changes_held == 1u);
    for (const auto& each : answers)
        BOOST_TEST(!each.is_there);
    held->unlock();
    settle();
    std::map<pawl::error_code, int> failures;
    for (const auto& each : answers) {
        BOOST_TEST(each.is_there);
        ++failures[each.failure];
    }
    BOOST_TEST(failures[{}] == 1);
    BOOST_TEST(failures[pawl::errc::already_running] == 4);
}

BOOST_FIXTURE_TEST_CASE(a_change_fails_alone, held_world)
{
    auto c = start(one_step());
    const auto& late = trigger(c, held_id);
    const auto& follower = trigger(c, held_id);
    const auto& free = trigger(c, "free");
    settle();
    held->unlock(std::make_exception_ptr(pawl::error{pawl::errc::store_unavailable, "too long"}));
    settle();
    for (const auto* each : {&late, &follower}) {
        BOOST_REQUIRE(each->is_there);
        BOOST_TEST(each->failure == pawl::errc::store_unavailable);
    }
    BOOST_TEST(state_of(c, free.run).status == off);
    const auto again = wait_for(c.async_trigger(held_id, lamp{}, {}, asio::use_awaitable));
    settle();
    BOOST_TEST(state_of(c, again).status == off);
}

BOOST_FIXTURE_TEST_CASE(a_stop_waits_for_them, held_world)
{
    auto c = start(one_step());
    const auto& late = trigger(c, held_id);
    settle();
    bool stopped = false;
    engine->async_stop(0s, [&](pawl::error_code) { stopped = true; });
    settle();
    BOOST_TEST(!stopped);
    held->unlock();
    advance_until([&] { return stopped; });
    BOOST_TEST(late.is_there);
    engine.reset();
}

BOOST_AUTO_TEST_SUITE_END()
