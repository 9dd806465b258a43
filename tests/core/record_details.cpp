// The stored form of a record's details: its bytes are fixed, it comes back whole, and bytes that
// are anything else are refused.
#include "stores/common/record_details.hpp"
#include "pawl/error.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>

BOOST_AUTO_TEST_SUITE(record_details)

namespace {

using namespace std::chrono_literals;

pawl::record full_record()
{
    pawl::record run;
    run.pause = pawl::pause_kind::by_error;
    run.auto_resumes = 2;
    run.resume_at = pawl::time_point{1s};
    run.deadlines = {{"timeout", pawl::time_point::max(), 3},
                     {"timeout-2", pawl::time_point::min(), -1}};
    run.deadlines.push_back({"remind", pawl::time_point{1s}, 0});
    run.effects = {{"charge", std::string("a\0b", 3), true, 7}, {"", std::string(300, 'x'), false}};
    run.requested_by = "ops";
    run.suspicion = 3;
    run.callback_retries = {{std::numeric_limits<std::uint64_t>::max(), 3, pawl::time_point::min()},
                            {1, 1, pawl::time_point::max()}};
    run.parent = pawl::parent_link{*pawl::parse_run_id("018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d"),
                                   "ended", pawl::parent_cancel::cancel, true};
    run.cancels_children = true;
    run.attributes = {{"customer", "c-7"},
                      {"cents", std::numeric_limits<std::int64_t>::min()},
                      {"paid", true},
                      {"placed", pawl::time_point::max()},
                      {"unknown", {}}};
    return run;
}

bool is_damage(const pawl::error& thrown)
{
    return thrown.code() == pawl::errc::store_corrupt;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_new_record_has_none)
{
    BOOST_TEST(pawl::core::encode_details({}).empty());
    auto run = full_record();
    pawl::core::decode_details({}, run);
    BOOST_TEST((run == pawl::record{}));
}

BOOST_AUTO_TEST_CASE(come_back_whole)
{
    const auto run = full_record();
    pawl::record again;
    again.effects = {{"left over", "", false}};
    pawl::core::decode_details(pawl::core::encode_details(run), again);
    BOOST_TEST((again == run));
}

BOOST_AUTO_TEST_CASE(each_part_alone_is_stored)
{
    const auto whole = full_record();
    std::vector<pawl::record> runs(14);
    runs[0].pause = whole.pause;
    runs[1].auto_resumes = std::numeric_limits<int>::max();
    runs[2].resume_at = whole.resume_at;
    runs[3].deadlines = whole.deadlines;
    runs[4].effects = whole.effects;
    runs[5].requested_by = whole.requested_by;
    runs[6].round = std::numeric_limits<std::uint32_t>::max();
    runs[7].deadlines = {{"timeout", pawl::time_point{1s}, 0, 3}};
    runs[8].effects = {{"reserve", "1", false, 1, (1ull << 32) + 5}};
    runs[9].callback_retries = whole.callback_retries;
    runs[10].suspicion = std::numeric_limits<std::uint32_t>::max();
    runs[11].parent = pawl::parent_link{whole.parent->run, "", pawl::parent_cancel::leave, false};
    runs[12].cancels_children = true;
    runs[13].attributes = whole.attributes;
    for (const auto& run : runs) {
        pawl::record again;
        pawl::core::decode_details(pawl::core::encode_details(run), again);
        BOOST_TEST((again == run));
    }
}

// Stored: a change here would make existing databases unreadable.
BOOST_AUTO_TEST_CASE(bytes_are_fixed)
{
    pawl::record run;
    run.pause = pawl::pause_kind::by_error;
    run.auto_resumes = 1;
    run.resume_at = pawl::time_point{100us};
    run.deadlines = {{"timeout-3", pawl::time_point{-1us}, 0}};
    run.effects = {{"ab", "c", true}};
    const unsigned char expected[] = {1, 1, 2, 1, 200, 1, 1, 4, 1, 0, 1, 2, 'a', 'b', 1, 'c', 1};
    const std::string bytes{reinterpret_cast<const char*>(expected), sizeof expected};
    BOOST_TEST(pawl::core::encode_details(run) == bytes);

    run.requested_by = "me";
    auto second = bytes + std::string{2, 'm', 'e'};
    second.front() = 2;
    BOOST_TEST(pawl::core::encode_details(run) == second);

    run.deadlines.front().timeout = "hi";
    run.effects.front().version = 2;
    auto third = second + std::string{1, 2, 'h', 'i', 2, 2};
    third[0] = 3;
    third[7] = 0; // the index of a timeout that has none
    BOOST_TEST(pawl::core::encode_details(run) == third);

    run.callback_retries = {{5, 2, pawl::time_point{100us}}};
    third += std::string{4, 1, 5, 4} + "\xc8\x01";
    BOOST_TEST(pawl::core::encode_details(run) == third);

    run.round = 1;
    run.deadlines[0].round = 200;
    run.effects[0].handler = 3;
    const auto fields = third + std::string{5, 1} + std::string{'\xc8', 1, 3};
    BOOST_TEST(pawl::core::encode_details(run) == fields);

    run.attributes = {{"a", "b"}, {"c", -1}, {"d", true}, {"e", pawl::time_point{1us}}, {"f", {}}};
    const auto found = fields + std::string{8, 5,   1, 'a', 1, 1,   'b', 1, 'c', 2,   1,
                                            1, 'd', 3, 1,   1, 'e', 4,   2, 1,   'f', 0};
    BOOST_TEST(pawl::core::encode_details(run) == found);

    pawl::record suspected;
    suspected.suspicion = 2;
    BOOST_TEST(pawl::core::encode_details(suspected) == (std::string{3, 0, 0, 0, 0, 0, 0, 3, 2}));

    pawl::record child;
    child.parent = pawl::parent_link{{}, "e", pawl::parent_cancel::cancel, false};
    child.parent->run.bytes.fill(9);
    const auto parent =
        std::string{4} + std::string(16, 9) + std::string{0, 0, 0, 0, 0, 0, 6, 1, 'e', 1, 0};
    BOOST_TEST(pawl::core::encode_details(child) == parent);
    child.cancels_children = true;
    BOOST_TEST(pawl::core::encode_details(child) == (parent + std::string{7, 1}));
}

BOOST_AUTO_TEST_CASE(deadlines_of_before_timeouts_had_names_belong_to_the_unnamed_ones)
{
    const std::string stored{1, 0, 0, 0, 2, 0, 2, 0, 2, 4, 0, 0};
    pawl::record run;
    pawl::core::decode_details(stored, run);
    BOOST_REQUIRE(run.deadlines.size() == 2u);
    BOOST_TEST(run.deadlines[0].timeout == "timeout");
    BOOST_TEST(run.deadlines[1].timeout == "timeout-2");
}

BOOST_AUTO_TEST_CASE(refuses_what_is_cut_off_or_continued)
{
    const auto bytes = pawl::core::encode_details(full_record());
    int read = 0; // what ends between two fields has fewer of them
    for (std::size_t size = 1; size < bytes.size(); ++size) {
        pawl::record run;
        try {
            pawl::core::decode_details({bytes.data(), size}, run);
            ++read;
        } catch (const pawl::error& thrown) {
            BOOST_TEST(is_damage(thrown));
        }
    }
    BOOST_TEST(read == 7);
    pawl::record run;
    BOOST_CHECK_EXCEPTION(pawl::core::decode_details(bytes + "x", run), pawl::error, is_damage);
}

BOOST_AUTO_TEST_CASE(refuses_impossible_values)
{
    const std::string damaged[] = {
        {5, 0, 0, 0, 0, 0},                       // version
        {4, 0, 0, 0, 0, 0},                       // a parent that is cut off
        {0, 0, 0, 0, 0, 0},                       // version
        {1, 3, 0, 0, 0, 0},                       // pause kind
        {1, 0, 0, 2, 0, 0},                       // flag
        {1, 0, 0, 0, 127, 0},                     // more deadlines than bytes
        {1, 0, 0, 0, 0, 127, 0, 0},               // more effects than bytes
        {1, 0, -1, -1, -1, -1, -1, 127, 0, 0, 0}, // a number past int
        {3, 0, 0, 0, 0, 0, 0, 9},                 // an unknown field
        {3, 0, 0, 0, 0, 0, 0, 2, 1},              // fields out of order
        {3, 0, 0, 0, 0, 0, 0, 5, 1, 5, 1},        // a field twice
        {3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0},     // an unknown version
        {3, 0, 0, 0, 0, 0, 0, 4, 127, 1, 1, 1},   // more callback retries than bytes
        {3, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0},        // a field twice
        {3, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0},        // the callback of a parent without an id
        {3, 0, 0, 0, 0, 0, 0, 8, 127, 1, 'a', 0}, // more attributes than bytes
        {3, 0, 0, 0, 0, 0, 0, 8, 1, 1, 'a', 5},   // an unknown kind of attribute
        {3, 0, 0, 0, 0, 0, 0, 8, 1, 1, 'a', 3, 2} // a byte that is no boolean
    };
    for (const auto& bytes : damaged) {
        pawl::record run;
        BOOST_CHECK_EXCEPTION(pawl::core::decode_details(bytes, run), pawl::error, is_damage);
    }
    const std::string endless = std::string{1, 0} + std::string(11, '\xff');
    pawl::record run;
    BOOST_CHECK_EXCEPTION(pawl::core::decode_details(endless, run), pawl::error, is_damage);
}

BOOST_AUTO_TEST_SUITE_END()
