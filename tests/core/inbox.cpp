// The messages that a run has yet to take: in their order, and what is known of all of them,
// against the same asked of each.
#include "core/inbox.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <random>
#include <vector>

BOOST_AUTO_TEST_SUITE(inboxes)

namespace {

using pawl::message;
using pawl::message_kind;
using pawl::core::inbox;
using pawl::core::waiting_messages;

message message_of(std::uint64_t sequence, std::mt19937& random)
{
    message made;
    made.sequence = sequence;
    made.kind = random() % 10 == 0 ? message_kind::pause : message_kind::callback;
    if (random() % 3 == 0)
        made.expires_at = pawl::time_point{pawl::duration{random() % 50}};
    return made;
}

void check_same(const inbox& tested, const std::vector<message>& model)
{
    const waiting_messages all = tested;
    const waiting_messages expected{model};
    BOOST_TEST_REQUIRE(all.all.size() == model.size());
    BOOST_TEST(tested.empty() == model.empty());
    for (std::size_t i = 0; i < model.size(); ++i)
        BOOST_TEST(tested[i].sequence == model[i].sequence);
    BOOST_TEST(all.has_commands == expected.has_commands);
    BOOST_TEST((all.first_expiry == expected.first_expiry));
}

} // namespace

BOOST_AUTO_TEST_CASE(messages_leave_in_any_order)
{
    for (unsigned seed = 1; seed <= 50; ++seed) {
        std::mt19937 random{seed};
        inbox tested;
        std::vector<message> model;
        std::uint64_t sequence = 0;
        for (int i = 0; i < 300; ++i) {
            const bool adds = random() % (i < 150 ? 3 : 2) != 0;
            if (adds) {
                model.push_back(message_of(++sequence, random));
                tested.add(model.back());
            } else if (!model.empty()) {
                // Mostly from the front, as they are taken.
                const auto at = random() % 4 == 0 ? random() % model.size() : 0;
                tested.remove(model[at].sequence);
                model.erase(model.begin() + static_cast<long>(at));
            }
            check_same(tested, model);
        }
        for (const auto& each : model)
            BOOST_TEST(tested.find(each.sequence)->sequence == each.sequence);
        tested.remove(sequence + 1);
        check_same(tested, model);
        tested.clear();
        check_same(tested, {});
    }
}

BOOST_AUTO_TEST_SUITE_END()
