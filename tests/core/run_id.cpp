// Run ids: UUID version 7 by its bits, text in both directions, and the slices they fall in.
#include "core/run_id.hpp"
#include "pawl/record_store.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

BOOST_AUTO_TEST_SUITE(run_ids)

BOOST_AUTO_TEST_CASE(carries_version_variant_and_time)
{
    using namespace std::chrono_literals;
    const pawl::time_point now{1'700'000'000'123'500us};
    pawl::core::run_id_generator maker;
    BOOST_TEST(to_string(maker.make(now, ~0ull)) == "018bcfe5-687b-7800-bfff-ffffffffffff");
    // The same instant again, and one before it: the count goes on.
    BOOST_TEST(to_string(maker.make(now, 0)) == "018bcfe5-687b-7801-8000-000000000000");
    BOOST_TEST(to_string(maker.make(now - 1h, 0)) == "018bcfe5-687b-7802-8000-000000000000");
}

BOOST_AUTO_TEST_CASE(text_round_trip)
{
    pawl::core::run_id_generator maker;
    const auto id = maker.make({}, 0xfedcba9876543210);
    const auto again = pawl::parse_run_id(to_string(id));
    BOOST_REQUIRE(again.has_value());
    BOOST_TEST((*again == id));
}

BOOST_AUTO_TEST_CASE(refuses_other_text)
{
    for (const char* text :
         {"", "018bcfe5", "018bcfe5-687b-7fff-bfff-fffffffffff",
          "018bcfe5-687b-7fff-bfff-fffffffffffg", "018bcfe5+687b-7fff-bfff-ffffffffffff",
          "018bcfe5-687b-7fff-bfff-ffffffffffff0"})
        BOOST_TEST(!pawl::parse_run_id(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(each_foreign_id_falls_in_exactly_one_shard_and_none_is_empty)
{
    std::map<std::uint32_t, int> hits;
    for (int i = 0; i < 20'000; ++i)
        ++hits[pawl::shard_of(std::to_string(i), 10)];
    BOOST_TEST(hits.size() == 10u);
    for (const auto& [shard, count] : hits) {
        BOOST_TEST(shard < 10u);
        BOOST_TEST(count > 1'600);
        BOOST_TEST(count < 2'400);
    }
    // Stored: a change here would lose every run of an existing database.
    BOOST_TEST(pawl::shard_of("order-001", 64) == 0u);
    BOOST_TEST(pawl::shard_of("order-002", 64) == 8u);
}

BOOST_AUTO_TEST_SUITE_END()
