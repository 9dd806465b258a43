// How engines share the shards of a store: evenly, each shard with one, and steadily.
#include "core/shard_plan.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(shard_plan)

namespace {

using pawl::core::plan_shards;

std::vector<pawl::lease> shards_of(const std::vector<std::string>& owners)
{
    std::vector<pawl::lease> all;
    for (const auto& owner : owners)
        all.push_back({.shard = static_cast<std::uint32_t>(all.size()), .owner = owner});
    return all;
}

/// All engines plan and act in turn, `rounds` times.
std::vector<pawl::lease> settle(std::vector<pawl::lease> all, std::vector<std::string> engines,
                                int rounds = 4)
{
    for (int round = 0; round < rounds; ++round)
        for (const auto& self : engines) {
            const auto plan = plan_shards(all, engines, self);
            for (const auto shard : plan.release)
                all[shard].owner.clear();
            for (const auto shard : plan.claim)
                all[shard].owner = self;
        }
    return all;
}

std::size_t count(const std::vector<pawl::lease>& all, const std::string& owner)
{
    return static_cast<std::size_t>(std::ranges::count(all, owner, &pawl::lease::owner));
}

} // namespace

BOOST_AUTO_TEST_CASE(an_engine_alone_takes_all)
{
    const auto plan = plan_shards(shards_of({"", "dead", "a"}), std::vector<std::string>{"a"}, "a");
    BOOST_TEST(plan.claim == (std::vector<std::uint32_t>{0, 1}), boost::test_tools::per_element());
    BOOST_TEST(plan.release.empty());
}

BOOST_AUTO_TEST_CASE(nothing_is_taken_from_one_that_is_alive)
{
    const std::vector<std::string> engines{"a", "b"};
    const auto plan = plan_shards(shards_of({"a", "a", "a", "a"}), engines, "b");
    BOOST_TEST(plan.claim.empty());
    const auto other = plan_shards(shards_of({"a", "a", "a", "a"}), engines, "a");
    BOOST_TEST(other.release == (std::vector<std::uint32_t>{2, 3}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(engines_that_come_and_go_end_with_equal_parts)
{
    std::vector<std::string> owners(64, "");
    auto all = settle(shards_of(owners), {"a"});
    BOOST_TEST(count(all, "a") == 64u);
    all = settle(all, {"a", "b", "c"});
    BOOST_TEST(count(all, "a") == 22u);
    BOOST_TEST(count(all, "b") == 21u);
    BOOST_TEST(count(all, "c") == 21u);
    all = settle(all, {"b", "c"});
    BOOST_TEST(count(all, "b") == 32u);
    BOOST_TEST(count(all, "c") == 32u);
}

BOOST_AUTO_TEST_CASE(what_is_even_stays_as_it_is)
{
    for (std::size_t engine_count : {1u, 2u, 5u, 7u, 64u, 100u}) {
        std::vector<std::string> engines;
        for (std::size_t i = 0; i < engine_count; ++i)
            engines.push_back("engine-" + std::to_string(100 + i));
        const auto all = settle(shards_of(std::vector<std::string>(64, "")), engines);
        BOOST_TEST(count(all, "") == 0u);
        for (const auto& self : engines) {
            const auto plan = plan_shards(all, engines, self);
            BOOST_TEST(plan.claim.empty());
            BOOST_TEST(plan.release.empty());
        }
    }
}

BOOST_AUTO_TEST_CASE(engines_that_look_at_once_want_different_shards)
{
    const std::vector<std::string> engines{"a", "b", "c", "d"};
    const auto all = shards_of(std::vector<std::string>(64, ""));
    std::vector<int> wanted(64);
    for (const auto& self : engines)
        for (const auto shard : plan_shards(all, engines, self).claim)
            ++wanted[shard];
    BOOST_TEST(std::ranges::count(wanted, 1) == 64);
}

BOOST_AUTO_TEST_CASE(the_shards_of_a_workflow_go_to_engines_that_have_it)
{
    // Three workflows of four shards.
    const auto all = shards_of(std::vector<std::string>(12, ""));
    const std::vector<pawl::core::engine_facts> engines{
        {"a", {0, 4}}, {"b", {4, 8}}, {"c", {}}, {"d", {0, 8}}};
    std::vector<int> wanted(12);
    for (const auto& self : engines) {
        const auto plan = plan_shards(all, 4, engines, self.name);
        BOOST_TEST(plan.release.empty());
        BOOST_TEST(plan.claim.size() == 2 * self.workflows.size());
        for (const auto shard : plan.claim) {
            ++wanted[shard];
            BOOST_TEST(std::ranges::count(self.workflows, shard - shard % 4) == 1);
        }
    }
    BOOST_TEST(std::ranges::count(wanted, 1) == 12);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_divided_goes_to_another_engine_for_each_workflow)
{
    constexpr std::uint32_t workflows = 12;
    const auto all = shards_of(std::vector<std::string>(workflows, ""));
    std::vector<std::uint32_t> first(workflows); // one shard each
    for (std::uint32_t i = 0; i < workflows; ++i)
        first[i] = i;
    const std::vector<pawl::core::engine_facts> engines{{"a", first}, {"b", first}, {"c", first}};
    for (const auto& self : engines)
        BOOST_TEST(plan_shards(all, 1, engines, self.name).claim.size() == workflows / 3);
}

BOOST_AUTO_TEST_CASE(engines_that_are_too_old_give_their_shards_to_the_others)
{
    const std::vector<pawl::core::engine_facts> engines{{"a", {0}, {0}}, {"b", {0}}, {"c", {0}}};
    const auto held = shards_of({"a", "a", "b", ""});
    const auto left = plan_shards(held, 4, engines, "a");
    BOOST_TEST(left.release == (std::vector<std::uint32_t>{0, 1}));
    BOOST_TEST(left.claim.empty());
    // Only what nobody has is asked for.
    std::set<std::uint32_t> claimed;
    for (const auto* self : {"b", "c"}) {
        const auto plan = plan_shards(held, 4, engines, self);
        BOOST_TEST(plan.release.empty());
        claimed.insert(plan.claim.begin(), plan.claim.end());
    }
    BOOST_TEST(claimed == std::set<std::uint32_t>{3});

    const auto given = shards_of({"", "", "b", "c"});
    BOOST_TEST(plan_shards(given, 4, engines, "a").claim.empty());
    BOOST_TEST(plan_shards(given, 4, engines, "b").claim.size() == 1u);
    BOOST_TEST(plan_shards(given, 4, engines, "c").claim.size() == 1u);
}

BOOST_AUTO_TEST_CASE(engines_that_are_all_too_old_share_the_shards)
{
    const std::vector<pawl::core::engine_facts> engines{{"a", {0}, {0}}, {"b", {0}, {0}}};
    const auto plan = plan_shards(shards_of({"", "", "", ""}), 4, engines, "b");
    BOOST_TEST(plan.claim.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
