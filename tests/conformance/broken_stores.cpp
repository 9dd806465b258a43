// The conformance checks can fail: each store here breaks one rule, and the check of that rule
// notices.
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "pawl/memory.hpp"
#include "pawl/testing/store_conformance.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <utility>

BOOST_AUTO_TEST_SUITE(broken_stores)

namespace {

using boost::asio::awaitable;

/// Takes every transition, whatever version it was made from.
struct skips_the_version_check : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::apply_result> results;
        for (pawl::change each : batch) {
            auto* step = std::get_if<pawl::transition>(&each);
            if (step && step->expected_version > 0) {
                const auto stored = co_await inner().find(step->next.id);
                if (stored)
                    step->expected_version = stored->version;
                step->next.version = step->expected_version + 1;
            }
            const auto one = co_await inner().apply({&each, 1});
            results.push_back(one.front());
        }
        co_return results;
    }
};

/// Forgets a message once it is settled.
struct loses_settled_messages : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::settlement>> outcome(pawl::run_id run,
                                                       std::uint64_t sequence) override
    {
        auto found = co_await inner().outcome(run, sequence);
        if (found && found->outcome != pawl::message_outcome::pending)
            found.reset();
        co_return found;
    }
};

/// Gives every second sequence only.
struct leaves_gaps_in_sequences : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::event>> events(std::uint32_t shard, std::uint64_t after,
                                               std::size_t limit) override
    {
        auto found = co_await inner().events(shard, after / 2, limit);
        for (auto& each : found)
            each.sequence *= 2;
        co_return found;
    }
};

/// Accepts changes of any owner.
struct ignores_epochs : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed) {
            if (auto* step = std::get_if<pawl::transition>(&each))
                step->epoch = 0;
            else if (auto* move = std::get_if<pawl::cursor_move>(&each))
                move->epoch = 0;
            else if (auto* gone = std::get_if<pawl::removal>(&each))
                gone->epoch = 0;
        }
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Forgets that a message came while a transition was made.
struct lets_runs_sleep_over_messages : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each))
                step->inbox_seen = ~0ull;
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Takes every message.
struct ignores_inbox_limits : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* message = std::get_if<pawl::delivery>(&each))
                message->max_pending = 0;
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Says of one change that it waits, and never tells what became of it.
struct forgets_what_waits : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    struct nothing : pawl::waiting_changes {
        awaitable<std::vector<pawl::late_result>> next() override
        {
            co_return std::vector<pawl::late_result>{};
        }
    };

    awaitable<pawl::applied_batch> apply_apart(std::span<const pawl::change> batch) override
    {
        pawl::applied_batch applied;
        applied.results = co_await inner().apply(batch);
        applied.waiting.push_back(0);
        applied.pending = std::make_shared<nothing>();
        co_return applied;
    }
};

/// Begins the next page of due runs one run too late.
struct skips_between_due_pages : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                  pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit);
        if (page.next)
            page.next->at += pawl::duration{1};
        co_return page;
    }
};

/// Says that the last page is the last but one.
struct shows_the_last_run_twice : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto page = co_await inner().list(query);
        if (page.next && page.runs.size() > 1)
            page.next = {page.runs[page.runs.size() - 2].created_at,
                         page.runs[page.runs.size() - 2].id};
        co_return page;
    }
};

/// Does not know what a deletion of data empties.
struct keeps_what_was_said : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each);
                step && step->kind == pawl::event_kind::data_deleted)
                step->kind = pawl::event_kind::checkpointed;
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Looks the run up that a page ended with.
struct needs_the_last_run_of_a_page : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        if (query.after) {
            const auto found = co_await inner().find(query.after.run);
            if (!found)
                throw pawl::error{pawl::errc::invalid_argument, "no such run"};
        }
        auto page = co_await inner().list(query);
        co_return page;
    }
};

/// Takes a list that is empty for one that is not given.
struct takes_none_for_all : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto changed = query;
        if (changed.foreign_ids && changed.foreign_ids->empty())
            changed.foreign_ids.reset();
        auto page = co_await inner().list(changed);
        co_return page;
    }
};

/// Goes by the creation time alone.
struct finds_the_run_created_last : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                  std::string_view foreign_id) override
    {
        pawl::record_query query;
        query.workflow = workflow;
        query.foreign_ids.emplace({std::string{foreign_id}});
        query.order = pawl::sort_order::newest_first;
        const auto page = co_await inner().list(query);
        co_return page.runs.empty() ? std::nullopt : std::optional{page.runs.front()};
    }
};

/// Has one set of keys a run, for messages of all names.
struct ignores_the_names_of_keys : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* sent = std::get_if<pawl::delivery>(&each); sent && !sent->content.key.empty())
                sent->content.name = "same";
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Cuts texts off at their first NUL.
struct ends_texts_at_nul : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        auto found = co_await inner().find(id);
        if (found)
            found->reason = found->reason.c_str();
        co_return found;
    }
};

/// Stores each event of a topic again, whatever its id.
struct stores_repeated_events : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* event = std::get_if<pawl::publication>(&each))
                event->content.id += std::to_string(++count_);
        auto results = co_await inner().apply(changed);
        co_return results;
    }

private:
    int count_ = 0;
};

/// Takes every lease for lapsed.
struct gives_held_roles_away : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::role_lease>>
    claim_role(std::string_view role, std::string_view owner, pawl::duration) override
    {
        return inner().claim_role(role, owner, pawl::duration::zero());
    }
};

/// Says that it removed a run, and keeps it.
struct keeps_removed_runs : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        if (batch.size() == 1 && std::holds_alternative<pawl::removal>(batch.front()))
            co_return std::vector<pawl::apply_result>(1);
        auto results = co_await inner().apply(batch);
        co_return results;
    }
};

/// Takes all of a batch, or nothing.
struct refuses_whole_batches : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        auto results = co_await inner().apply(batch);
        const auto refused = std::ranges::find_if(results, [](const pawl::apply_result& each) {
            return each.status != pawl::apply_status::accepted;
        });
        if (refused != results.end())
            std::ranges::fill(results, pawl::apply_result{*refused});
        co_return results;
    }
};

/// Lets a foreign id have as many runs as it likes.
struct starts_every_run : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each))
                step->next.foreign_id += to_string(step->next.id);
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Reads the newest message first.
struct turns_inboxes_round : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::message>> inbox(pawl::run_id run, std::uint64_t after,
                                                std::size_t limit) override
    {
        auto found = co_await inner().inbox(run, after, limit);
        std::ranges::reverse(found);
        co_return found;
    }
};

/// Gives more due runs than it was asked for, and in the order of their ids.
struct disorders_due_runs : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                  pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit + 1);
        std::ranges::sort(page.runs, {}, &pawl::record::id);
        co_return page;
    }
};

/// Lets cursors go back.
struct moves_cursors_back : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        for (const auto& each : batch)
            if (const auto* move = std::get_if<pawl::cursor_move>(&each))
                last_ = move->position;
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    awaitable<std::uint64_t> cursor(std::string_view name, std::uint32_t shard) override
    {
        const auto known = co_await inner().cursor(name, shard);
        co_return known == 0 ? 0 : last_;
    }

private:
    std::uint64_t last_ = 0;
};

/// Keeps the first 64 KiB of an object, and of a message.
struct cuts_large_texts : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        constexpr std::size_t most = 64 * 1024;
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed) {
            if (auto* step = std::get_if<pawl::transition>(&each))
                step->next.object.resize(std::min(step->next.object.size(), most));
            else if (auto* sent = std::get_if<pawl::delivery>(&each))
                sent->content.payload.resize(std::min(sent->content.payload.size(), most));
        }
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Tells start keys apart by their first 255 bytes.
struct cuts_long_names : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                  std::string_view foreign_id) override
    {
        auto found = co_await inner().latest(workflow, foreign_id.substr(0, 255));
        co_return found;
    }
};

/// Answers a message key with its first message for good.
struct keeps_failed_keys : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::apply_result> results;
        for (const pawl::change& each : batch) {
            const auto* sent = std::get_if<pawl::delivery>(&each);
            const auto key = sent ? std::pair{sent->content.run, sent->content.key}
                                  : std::pair{pawl::run_id{}, std::string{}};
            const auto known = first_.find(key);
            if (known != first_.end()) {
                const auto end = co_await inner().outcome(key.first, known->second);
                results.push_back({.status = pawl::apply_status::duplicate,
                                   .sequence = known->second,
                                   .existing = key.first,
                                   .outcome = end->outcome,
                                   .detail = end->detail});
                continue;
            }
            const auto one = co_await inner().apply({&each, 1});
            if (!key.second.empty() && one.front().status == pawl::apply_status::accepted)
                first_[key] = one.front().sequence;
            results.push_back(one.front());
        }
        co_return results;
    }

private:
    std::map<std::pair<pawl::run_id, std::string>, std::uint64_t> first_;
};

/// Rejects the messages of a finished run at each of its changes, not only when it finishes.
struct rejects_messages_again : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed) {
            auto* step = std::get_if<pawl::transition>(&each);
            if (!step || !is_finished(step->next.state))
                continue;
            const auto pending = co_await inner().inbox(step->next.id, 0, 100);
            for (const auto& waiting : pending)
                step->settled.push_back({waiting.sequence, pawl::message_outcome::rejected, ""});
        }
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Finds finished runs among those with an error, whatever states are asked for.
struct lists_finished_failures : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto changed = query;
        if (query.has_error.value_or(false))
            changed.states.reset();
        auto page = co_await inner().list(changed);
        co_return page;
    }
};

/// Begins each page of finished runs at the first one.
struct repeats_finished_runs : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, pawl::finished_position,
                    pawl::time_point before, std::size_t limit) override
    {
        return inner().finished_behind(shard, workflow, {}, before, limit);
    }
};

/// Says that a log ends one event too early.
struct ends_logs_early : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        const auto end = co_await inner().log_end(shard);
        co_return end == 0 ? 0 : end - 1;
    }
};

/// Compares texts of attributes only.
struct finds_by_texts_alone : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto changed = query;
        std::erase_if(changed.attributes, [](const pawl::attribute_filter& filter) {
            return !std::holds_alternative<std::string>(filter.value);
        });
        auto page = co_await inner().list(changed);
        co_return page;
    }
};

/// Forgets the other filters when it searches attributes.
struct finds_by_attributes_alone : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto changed = query;
        if (!query.attributes.empty())
            changed.statuses.reset();
        auto page = co_await inner().list(changed);
        co_return page;
    }
};

/// Answers a query that it should refuse.
struct answers_any_query : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        if (!query.attributes.empty() && query.workflow.empty())
            co_return pawl::record_page{};
        auto page = co_await inner().list(query);
        co_return page;
    }
};

/// Edits the attributes of each change, as `Edit` does.
template <typename Edit>
struct edits_attributes : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each))
                Edit{}(step->attributes);
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

struct replace_nothing {
    void operator()(pawl::attribute_changes& changes) const { changes.replaces_all = false; }
};

/// Cuts texts off at their first NUL.
struct cut_texts {
    void operator()(pawl::attribute_changes& changes) const
    {
        for (auto& changed : changes.values)
            if (auto* text = changed.value ? std::get_if<std::string>(&*changed.value) : nullptr)
                *text = text->c_str();
    }
};

/// Stores attributes before it decides about their change.
struct stores_attributes_first : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        for (const auto& each : batch)
            if (const auto* step = std::get_if<pawl::transition>(&each)) {
                const auto stored = co_await inner().find(step->next.id);
                const std::vector<pawl::change> update{pawl::attribute_update{
                    step->next.id, stored ? stored->version : 0, step->attributes}};
                co_await inner().apply(update);
            }
        auto results = co_await inner().apply(batch);
        co_return results;
    }
};

/// Stores only the attributes of the first change of each batch.
struct stores_first_attributes : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each); step && &each != &changed[0])
                step->attributes = {};
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

/// Gives a run that takes the id of a removed one its attributes.
struct keeps_attributes : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* step = std::get_if<pawl::transition>(&each)) {
                auto& known = attributes_[step->next.id];
                if (step->attributes.empty())
                    step->attributes = known;
                else
                    known = step->attributes;
            }
        auto results = co_await inner().apply(changed);
        co_return results;
    }

private:
    std::map<pawl::run_id, pawl::attribute_changes> attributes_;
};

/// Updates attributes whatever version they were computed from.
struct updates_every_version : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changed{batch.begin(), batch.end()};
        for (auto& each : changed)
            if (auto* update = std::get_if<pawl::attribute_update>(&each)) {
                const auto stored = co_await inner().find(update->run);
                if (stored)
                    update->expected_version = stored->version;
            }
        auto results = co_await inner().apply(changed);
        co_return results;
    }
};

template <typename Broken>
std::shared_ptr<pawl::record_store> break_memory(std::uint32_t shards)
{
    return std::make_shared<Broken>(pawl::open_memory({.shards = shards}));
}

template <typename Broken>
void expect_noticed(const std::string& check_name)
{
    const auto checks = pawl::testing::store_conformance_checks();
    const auto check =
        std::ranges::find(checks, check_name, &pawl::testing::conformance_check::name);
    BOOST_REQUIRE_MESSAGE(check != checks.end(), "there is no check " << check_name);
    BOOST_CHECK_NO_THROW(check->run(break_memory<pawl::forwarding_store>));
    BOOST_CHECK_EXCEPTION(check->run(break_memory<Broken>), std::runtime_error,
                          [](const std::exception& thrown) {
                              BOOST_TEST_MESSAGE("noticed: " << thrown.what());
                              return true;
                          });
}

/// Counts no children.
struct counts_no_children : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::child_counts> count_children(pawl::run_id) override
    {
        co_return pawl::child_counts{};
    }
};

/// Lists the children of all runs.
struct ignores_parents : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto any = query;
        any.parent.reset();
        auto page = co_await inner().list(any);
        co_return page;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_skipped_version_check_is_noticed)
{
    expect_noticed<skips_the_version_check>("only_the_expected_version_is_replaced");
    expect_noticed<skips_the_version_check>("one_of_many_changes_of_a_version_wins");
}

BOOST_AUTO_TEST_CASE(lost_settled_messages_are_noticed)
{
    expect_noticed<loses_settled_messages>("settled_messages_leave_the_inbox");
    expect_noticed<loses_settled_messages>("the_end_of_a_run_settles_its_inbox");
}

BOOST_AUTO_TEST_CASE(gaps_in_sequences_are_noticed)
{
    expect_noticed<leaves_gaps_in_sequences>("sequences_are_dense_in_each_shard");
    expect_noticed<leaves_gaps_in_sequences>("concurrent_runs_keep_their_logs_dense");
}

BOOST_AUTO_TEST_CASE(ignored_epochs_are_noticed)
{
    expect_noticed<ignores_epochs>("epochs_fence_transitions");
    expect_noticed<ignores_epochs>("epochs_fence_cursors");
    expect_noticed<ignores_epochs>("only_finished_runs_are_removed");
}

BOOST_AUTO_TEST_CASE(runs_that_sleep_over_messages_are_noticed)
{
    expect_noticed<lets_runs_sleep_over_messages>("unseen_messages_keep_their_run_due");
}

BOOST_AUTO_TEST_CASE(gaps_between_pages_are_noticed)
{
    expect_noticed<skips_between_due_pages>("due_pages_meet_without_gap_or_overlap");
    expect_noticed<shows_the_last_run_twice>("pages_meet_without_gap_or_overlap");
}

BOOST_AUTO_TEST_CASE(listings_that_end_or_grow_are_noticed)
{
    expect_noticed<needs_the_last_run_of_a_page>("pages_continue_after_removed_runs");
    expect_noticed<takes_none_for_all>("an_empty_list_matches_no_run");
}

BOOST_AUTO_TEST_CASE(messages_that_bookkeeping_rejects_are_noticed)
{
    expect_noticed<rejects_messages_again>("a_change_of_a_finished_run_keeps_its_messages");
}

BOOST_AUTO_TEST_CASE(finished_runs_among_failing_ones_are_noticed)
{
    expect_noticed<lists_finished_failures>("runs_that_need_an_operator_are_listed");
}

BOOST_AUTO_TEST_CASE(finished_runs_that_stand_for_unfinished_ones_are_noticed)
{
    expect_noticed<finds_the_run_created_last>("latest_is_the_unfinished_run");
}

BOOST_AUTO_TEST_CASE(keys_that_forget_their_names_are_noticed)
{
    expect_noticed<ignores_the_names_of_keys>("message_keys_belong_to_their_name");
}

BOOST_AUTO_TEST_CASE(data_that_stays_in_texts_is_noticed)
{
    expect_noticed<keeps_what_was_said>("deleted_data_leaves_no_texts");
}

BOOST_AUTO_TEST_CASE(cut_texts_are_noticed)
{
    expect_noticed<ends_texts_at_nul>("every_field_comes_back");
}

BOOST_AUTO_TEST_CASE(repeated_events_are_noticed)
{
    expect_noticed<stores_repeated_events>("an_event_id_is_stored_once");
}

BOOST_AUTO_TEST_CASE(roles_of_two_holders_are_noticed)
{
    expect_noticed<gives_held_roles_away>("a_role_has_one_holder");
}

BOOST_AUTO_TEST_CASE(removed_runs_that_are_kept_are_noticed)
{
    expect_noticed<keeps_removed_runs>("a_removed_run_leaves_nothing");
}

BOOST_AUTO_TEST_CASE(batches_that_are_refused_as_a_whole_are_noticed)
{
    expect_noticed<refuses_whole_batches>("changes_of_a_batch_are_decided_alone");
}

BOOST_AUTO_TEST_CASE(second_runs_of_a_foreign_id_are_noticed)
{
    expect_noticed<starts_every_run>("one_unfinished_run_holds_a_foreign_id");
    expect_noticed<starts_every_run>("one_of_many_triggers_starts_a_run");
}

BOOST_AUTO_TEST_CASE(messages_out_of_order_are_noticed)
{
    expect_noticed<turns_inboxes_round>("messages_come_back_in_order");
}

BOOST_AUTO_TEST_CASE(due_runs_out_of_order_are_noticed)
{
    expect_noticed<disorders_due_runs>("due_runs_come_by_time_and_id");
}

BOOST_AUTO_TEST_CASE(cursors_that_go_back_are_noticed)
{
    expect_noticed<moves_cursors_back>("cursors_only_move_forward");
}

BOOST_AUTO_TEST_CASE(large_texts_that_are_cut_are_noticed)
{
    expect_noticed<cuts_large_texts>("large_objects_come_back");
    expect_noticed<cuts_large_texts>("large_messages_come_back");
    expect_noticed<cuts_long_names>("long_names_come_back");
}

BOOST_AUTO_TEST_CASE(a_store_that_forgets_is_noticed)
{
    const auto forgets = [](std::uint32_t shards, bool) {
        return pawl::open_memory({.shards = shards});
    };
    const auto checks = pawl::testing::store_reopen_checks();
    BOOST_TEST(checks.size() >= 3u);
    for (const auto& check : checks)
        BOOST_CHECK_THROW(check.run(forgets), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(names_of_checks_are_unique)
{
    std::vector<std::string> names;
    for (const auto& check : pawl::testing::store_conformance_checks())
        names.push_back(check.name);
    std::ranges::sort(names);
    BOOST_TEST((std::ranges::adjacent_find(names) == names.end()));
    BOOST_TEST(names.size() >= 50u);
}

BOOST_AUTO_TEST_CASE(keys_of_failed_messages_that_are_kept_are_noticed)
{
    expect_noticed<keeps_failed_keys>("a_message_that_failed_does_not_keep_its_key");
}

BOOST_AUTO_TEST_CASE(pages_of_finished_runs_that_begin_again_are_noticed)
{
    expect_noticed<repeats_finished_runs>("finished_runs_are_found_page_by_page");
}

BOOST_AUTO_TEST_CASE(inboxes_without_a_limit_are_noticed)
{
    expect_noticed<ignores_inbox_limits>("an_inbox_has_a_limit");
}

BOOST_AUTO_TEST_CASE(changes_that_wait_forever_are_noticed)
{
    expect_noticed<forgets_what_waits>("changes_may_be_stored_apart");
}

BOOST_AUTO_TEST_CASE(children_that_are_mixed_up_are_noticed)
{
    expect_noticed<counts_no_children>("children_are_counted_by_run_state");
    expect_noticed<ignores_parents>("children_are_listed_in_pages");
}

BOOST_AUTO_TEST_CASE(listings_that_ignore_attributes_are_noticed)
{
    expect_noticed<finds_by_texts_alone>("attributes_choose_runs");
    expect_noticed<finds_by_attributes_alone>("attributes_combine_with_other_filters");
    expect_noticed<answers_any_query>("attributes_are_refused_out_of_range");
}

BOOST_AUTO_TEST_CASE(attributes_that_differ_from_the_changes_are_noticed)
{
    expect_noticed<edits_attributes<replace_nothing>>("attributes_follow_transitions");
    expect_noticed<edits_attributes<cut_texts>>("every_value_of_an_attribute_is_found");
    expect_noticed<stores_attributes_first>("rejected_changes_leave_attributes");
    expect_noticed<stores_first_attributes>("changes_of_a_batch_change_attributes_in_order");
    expect_noticed<keeps_attributes>("removed_runs_leave_no_attributes");
    expect_noticed<updates_every_version>("attributes_are_updated_without_a_version");
}

BOOST_AUTO_TEST_CASE(a_log_that_ends_too_early_is_noticed)
{
    expect_noticed<ends_logs_early>("a_log_ends_with_its_last_event");
}

BOOST_AUTO_TEST_SUITE_END()
