// A listing reads few of the runs that it does not return: SQLite's instructions are counted.
#include "pawl/sqlite.hpp"
#include "sqlite/support.hpp"
#include "stores/sqlite/connection.hpp"
#include "stores/sqlite/reader.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

BOOST_AUTO_TEST_SUITE(listings)

namespace {

using pawl::record_query;
using pawl::run_state;

constexpr int runs_of_workflow = 3000;
constexpr int unfinished_of_workflow = 3;

/// A listing of all runs takes ten times as many.
constexpr int most_instructions = 10'000;

std::string foreign_id(const std::string& workflow, int number)
{
    return fmt::format("{}-{}", workflow, number);
}

/// Stores many finished runs of two workflows, and a few unfinished ones among them.
void fill(const std::string& path)
{
    std::vector<pawl::change> batch;
    for (int i = 0; i < 2 * runs_of_workflow; ++i) {
        auto run = make_run(1, "");
        run.workflow = i % 2 ? "orders" : "mails";
        run.foreign_id = foreign_id(run.workflow, i / 2);
        run.id.bytes[0] = static_cast<std::uint8_t>(i);
        run.id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        run.created_at = pawl::time_point{std::chrono::seconds{i}};
        const bool is_unfinished = i / 2 % (runs_of_workflow / unfinished_of_workflow) == 1;
        run.state = is_unfinished ? run_state::running : run_state::completed;
        auto change = store_as(run);
        change.attributes.values = {
            {"customer", "c-" + std::to_string(i / 2)}, {"number", i / 2}, {"wholesale", true}};
        batch.push_back(std::move(change));
    }
    finish(pawl::open_sqlite(path)->apply(batch));
}

/// Stores many unfinished runs of two workflows, some of which are paused, and others failing.
void fill_unfinished(const std::string& path)
{
    std::vector<pawl::change> batch;
    for (int i = 0; i < 2 * runs_of_workflow; ++i) {
        auto run = make_run(1, "");
        run.workflow = i % 2 ? "orders" : "mails";
        run.foreign_id = foreign_id(run.workflow, i / 2);
        run.id.bytes[0] = static_cast<std::uint8_t>(i);
        run.id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
        run.created_at = pawl::time_point{std::chrono::seconds{i}};
        const int kind = i / 2 % (runs_of_workflow / 3);
        run.state = kind == 1 ? run_state::paused : run_state::running;
        run.last_error = kind == 2 ? "no answer" : "";
        batch.push_back(store_as(run));
    }
    finish(pawl::open_sqlite(path)->apply(batch));
}

class counted_reader {
public:
    explicit counted_reader(const std::string& path) : database_(path), reader_(database_, 1)
    {
        const auto count = [](void* instructions) {
            return ++*static_cast<int*>(instructions), 0;
        };
        sqlite3_progress_handler(database_.handle(), 1, count, &instructions_);
    }

    /// Expects this number of runs in both orders, in pages of two.
    void expect_quick(record_query query, int wanted)
    {
        query.limit = 2;
        for (const auto order : {pawl::sort_order::oldest_first, pawl::sort_order::newest_first}) {
            query.order = order;
            query.after = {};
            int found = 0;
            do {
                instructions_ = 0;
                const auto page = reader_.list(query);
                BOOST_TEST(instructions_ < most_instructions);
                found += static_cast<int>(page.runs.size());
                query.after = page.next;
            } while (query.after);
            BOOST_TEST(found == wanted);
        }
    }

    /// Expects a page of two runs in both orders, behind the one before it too.
    void expect_page(record_query query)
    {
        query.limit = 2;
        for (const auto order : {pawl::sort_order::oldest_first, pawl::sort_order::newest_first}) {
            query.order = order;
            query.after = {};
            for (int pages = 0; pages < 3; ++pages) {
                instructions_ = 0;
                const auto page = reader_.list(query);
                BOOST_TEST(instructions_ < most_instructions / 10);
                BOOST_TEST(page.runs.size() == 2u);
                query.after = page.next;
            }
        }
    }

private:
    int instructions_ = 0;
    pawl::sqlite::connection database_;
    pawl::sqlite::reader reader_;
};

} // namespace

BOOST_AUTO_TEST_CASE(finished_runs_are_not_searched_for_unfinished_ones)
{
    const temporary_folder folder;
    const auto path = folder.file("many.db");
    fill(path);
    counted_reader reader{path};
    const std::vector unfinished{run_state::initiated, run_state::running, run_state::paused};
    reader.expect_quick({.workflow = "orders", .states = unfinished}, unfinished_of_workflow);
    reader.expect_quick({.states = unfinished}, 2 * unfinished_of_workflow);
    reader.expect_quick({.workflow = "orders", .states = {{run_state::paused}}}, 0);
    reader.expect_quick(
        {.states = unfinished, .created_from = pawl::time_point{std::chrono::seconds{100}}},
        2 * (unfinished_of_workflow - 1));
}

BOOST_AUTO_TEST_CASE(unfinished_runs_are_not_searched_for_paused_and_failing_ones)
{
    const temporary_folder folder;
    const auto path = folder.file("many.db");
    fill_unfinished(path);
    counted_reader reader{path};
    const std::vector unfinished{run_state::initiated, run_state::running, run_state::paused};
    reader.expect_quick({.workflow = "orders", .states = {{run_state::paused}}}, 3);
    reader.expect_quick({.states = {{run_state::paused}}}, 6);
    reader.expect_quick({.workflow = "orders", .states = unfinished, .has_error = true}, 3);
    reader.expect_quick({.states = unfinished, .has_error = true}, 6);
}

BOOST_AUTO_TEST_CASE(a_workflow_is_not_searched_for_attributes)
{
    const temporary_folder folder;
    const auto path = folder.file("many.db");
    fill(path);
    counted_reader reader{path};
    const pawl::attribute_filter customer{"customer", "c-7"};
    const pawl::attribute_filter wholesale{"wholesale", true};
    const pawl::attribute_filter small{"number", 10, pawl::attribute_comparison::less};
    reader.expect_quick({.workflow = "orders", .attributes = {customer}}, 1);
    reader.expect_quick({.workflow = "orders", .attributes = {small}}, 10);
    reader.expect_quick({.workflow = "orders", .attributes = {customer, wholesale, small}}, 1);
    reader.expect_quick(
        {.workflow = "orders", .states = {{run_state::completed}}, .attributes = {customer}}, 1);
    reader.expect_quick({.workflow = "orders",
                         .foreign_ids = {{foreign_id("orders", 7)}},
                         .attributes = {wholesale}},
                        1);
    // Thousands of runs match: a page is read, not all of them.
    reader.expect_page({.workflow = "orders", .attributes = {wholesale}});
}

BOOST_AUTO_TEST_CASE(a_workflow_is_not_searched_for_foreign_ids)
{
    const temporary_folder folder;
    const auto path = folder.file("many.db");
    fill(path);
    counted_reader reader{path};
    const std::vector ids{foreign_id("orders", 1), foreign_id("orders", 2), foreign_id("mails", 3)};
    reader.expect_quick({.workflow = "orders", .foreign_ids = ids}, 2);
    reader.expect_quick({.workflow = "orders", .foreign_ids = {{ids.front()}}}, 1);
    reader.expect_quick({.foreign_ids = ids}, 3);
    reader.expect_quick(
        {.workflow = "orders", .foreign_ids = ids, .states = {{run_state::running}}}, 1);
    reader.expect_quick({.foreign_ids = ids, .states = {{run_state::running}}}, 1);
}

BOOST_AUTO_TEST_SUITE_END()
