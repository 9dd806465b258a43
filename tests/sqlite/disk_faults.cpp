// A disk that fails at any call, is full for a while, or loses its power at any call: what the
// store accepted is there when the database is opened again, what it refused is there whole or not
// at all, and after a failed flush nothing more is accepted.
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "printing.hpp"
#include "sqlite/faulty_disk.hpp"
#include "sqlite/support.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

BOOST_AUTO_TEST_SUITE(sqlite_disk_faults)

namespace {

using pawl::errc;
using kind = faulty_disk::kind;
using fault = faulty_disk::fault;

constexpr unsigned all_kinds = 15;
constexpr auto flushes = static_cast<unsigned>(kind::flush);
/// It is every so many calls that fail: all of them in a soak, by the environment, else a part.
const std::uint64_t step = [] {
    const char* given = std::getenv("PAWL_FAULT_STEP");
    return std::max(1ull, given ? std::strtoull(given, nullptr, 10) : PAWL_DEFAULT_FAULT_STEP);
}();
constexpr int batches = 14;
constexpr std::uint8_t runs = 5;
constexpr int first_once = 100; ///< number of the run that the first batch makes

/// Small, so that the log is moved many times.
const pawl::sqlite_options small_log{.wal_autocheckpoint_pages = 24};

/// A reader outside that looks at the database as it was, and so keeps the log from being used up.
class outside_reader {
public:
    explicit outside_reader(const std::string& path)
    {
        sqlite3* opened = nullptr;
        sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE, "unix");
        handle_.reset(opened);
        sqlite3_exec(opened, "BEGIN; SELECT count(*) FROM runs", nullptr, nullptr, nullptr);
    }

private:
    struct closer {
        void operator()(sqlite3* handle) const
        {
            // Its end must not move the log.
            sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
            sqlite3_close(handle);
        }
    };
    std::unique_ptr<sqlite3, closer> handle_;
};

/// What the store has accepted, and what it may hold.
struct promise {
    std::map<std::uint8_t, std::uint64_t> versions; ///< accepted, by run
    std::map<std::uint8_t, std::uint64_t> tried;
    std::set<std::string> messages; ///< keys, each to run 1
    std::set<std::string> events;   ///< ids, of topic "news"
    std::uint64_t cursor = 0;
    std::set<errc> failures;

    void failed(const pawl::error& problem)
    {
        failures.insert(static_cast<errc>(problem.code().value()));
    }
};

std::vector<pawl::change> make_batch(int number, promise& made)
{
    std::vector<pawl::change> batch;
    for (std::uint8_t i = 1; i <= runs; ++i) {
        auto next = make_run(i, "order-" + std::to_string(i));
        next.version = made.versions[i] + 1;
        next.object.assign(3000, static_cast<char>('a' + number));
        made.tried[i] = std::max(made.tried[i], next.version);
        batch.push_back(store_as(next));
    }
    const auto key = std::to_string(number);
    // What no later batch writes again: it must not be lost because all else is.
    auto once = make_run(static_cast<std::uint8_t>(first_once + number), "once-" + key);
    once.object.assign(9000, 'o');
    batch.push_back(store_as(once));
    pawl::delivery sent;
    sent.content = {.run = make_run(1, "").id, .name = "paid", .payload = "{}", .key = key};
    batch.emplace_back(sent);
    pawl::publication news{"news", {}};
    news.content.id = key;
    batch.emplace_back(news);
    batch.emplace_back(pawl::cursor_move{
        .name = "hooks", .shard = 0, .position = static_cast<std::uint64_t>(number) + 1});
    return batch;
}

/// What a batch that failed has become is found out by reading, as the engine does.
void look(pawl::record_store& store, promise& made)
{
    for (std::uint8_t i = 1; i <= runs; ++i)
        if (const auto stored = finish(store.find(make_run(i, "").id)))
            made.versions[i] = std::max(made.versions[i], stored->version);
}

void work(pawl::record_store& store, promise& made, int number)
{
    try {
        look(store, made);
        const auto batch = make_batch(number, made);
        const auto results = finish(store.apply(batch));
        for (const auto& each : results)
            BOOST_TEST_REQUIRE(each.status == pawl::apply_status::accepted);
        for (std::uint8_t i = 1; i <= runs; ++i)
            made.versions[i] = made.tried[i];
        made.messages.insert(std::to_string(number));
        made.events.insert(std::to_string(number));
        made.cursor = static_cast<std::uint64_t>(number) + 1;
    } catch (const pawl::error& problem) {
        made.failed(problem);
    }
}

/// Batches on one database, with an outside reader for a part of the time.
/// @param kill The process is killed after the first failure: nothing reaches this disk any more.
promise work_on(const std::string& path, const pawl::sqlite_options& options = small_log,
                faulty_disk* kill = nullptr)
{
    promise made;
    std::unique_ptr<outside_reader> reader;
    std::shared_ptr<pawl::record_store> store;
    for (int i = 0; i < batches; ++i) {
        if (i == 4)
            reader = std::make_unique<outside_reader>(path);
        if (i == 9)
            reader.reset();
        try {
            if (!store)
                store = pawl::open_sqlite(path, options);
        } catch (const pawl::error& problem) {
            made.failed(problem);
            continue;
        }
        work(*store, made, i);
        if (kill && !made.failures.empty()) {
            kill->fail({.first = 1, .calls = faulty_disk::for_ever});
            break;
        }
    }
    reader.reset();
    store.reset();
    return made;
}

std::int64_t count_by_sql(const std::string& path, const char* sql, std::string& text)
{
    sqlite3* opened = nullptr;
    BOOST_REQUIRE(sqlite3_open(path.c_str(), &opened) == SQLITE_OK);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> database{opened, sqlite3_close};
    sqlite3_stmt* made = nullptr;
    BOOST_REQUIRE(sqlite3_prepare_v2(opened, sql, -1, &made, nullptr) == SQLITE_OK);
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> query{made, sqlite3_finalize};
    BOOST_REQUIRE(sqlite3_step(made) == SQLITE_ROW);
    text = reinterpret_cast<const char*>(sqlite3_column_text(made, 0));
    return sqlite3_column_int64(made, 0);
}

/// Opens the database again and finds everything that was accepted, and nothing by half.
void check(const std::string& path, const promise& made)
{
    {
        const auto store = pawl::open_sqlite(path, small_log);
        std::size_t versions = 0;
        for (const auto& [run, accepted] : made.versions) {
            const auto stored = finish(store->find(make_run(run, "").id));
            BOOST_TEST_REQUIRE((stored || accepted == 0));
            if (!stored)
                continue;
            BOOST_TEST(stored->version >= accepted);
            BOOST_TEST(stored->version <= std::max(accepted, made.tried.at(run)));
            versions += stored->version;
            BOOST_TEST(finish(store->history(stored->id, 0, 1000)).size() == stored->version);
        }
        const auto inbox = finish(store->inbox(make_run(1, "").id, 0, 100));
        std::set<std::string> keys;
        for (const auto& each : inbox)
            keys.insert(each.key);
        BOOST_TEST(std::ranges::includes(keys, made.messages));
        std::set<std::string> ids;
        for (const auto& each : finish(store->topic_events("news", 0, 100)))
            ids.insert(each.id);
        BOOST_TEST(std::ranges::includes(ids, made.events));
        BOOST_TEST(ids == keys, boost::test_tools::per_element()); // both were in one batch
        for (const auto& id : ids) {
            const auto once = make_run(static_cast<std::uint8_t>(first_once + std::stoi(id)), "");
            const auto stored = finish(store->find(once.id));
            BOOST_TEST((stored && stored->object == std::string(9000, 'o')), "once-" << id);
        }
        const auto log = finish(store->events(0, 0, 1000));
        BOOST_TEST(log.size() == versions + ids.size());
        BOOST_TEST((log.empty() || log.back().sequence == log.size()));
        BOOST_TEST(finish(store->cursor("hooks", 0)) >= made.cursor);
        // And it goes on.
        auto next = made;
        look(*store, next);
        next.failures.clear();
        work(*store, next, 100);
        BOOST_TEST(next.failures.empty());
    }
    std::string text;
    count_by_sql(path, "PRAGMA integrity_check", text);
    BOOST_TEST(text == "ok");
    BOOST_TEST(count_by_sql(path, "SELECT sum(runs) FROM counts", text) ==
               count_by_sql(path, "SELECT count(*) FROM runs", text));
}

/// How many calls of these kinds all of the work makes when nothing fails.
std::uint64_t calls_of_work(unsigned kinds, const pawl::sqlite_options& options = small_log)
{
    const temporary_folder folder;
    faulty_disk disk;
    disk.fail({.first = 0, .kinds = kinds});
    const auto made = work_on(folder.file("a.db"), options);
    BOOST_TEST_REQUIRE(made.failures.empty());
    BOOST_TEST_REQUIRE(made.versions.at(1) == static_cast<std::uint64_t>(batches));
    return disk.calls();
}

} // namespace

BOOST_AUTO_TEST_CASE(each_call_may_fail_once)
{
    const auto calls = calls_of_work(all_kinds);
    BOOST_TEST_MESSAGE(calls << " calls");
    BOOST_TEST(calls > 300u);
    std::set<errc> codes;
    for (std::uint64_t at = 1; at <= calls; at += step) {
        const temporary_folder folder;
        faulty_disk disk;
        const auto what = std::array{fault::error, fault::full, fault::half}[at / step % 3];
        BOOST_TEST_CONTEXT("call " << at)
        {
            disk.fail({.first = at, .what = what});
            const auto made = work_on(folder.file("a.db"));
            disk.heal();
            codes.insert(made.failures.begin(), made.failures.end());
            // One batch may be lost, and unless it was a flush, no more.
            const bool flush = made.failures.contains(errc::store_flush_failed);
            BOOST_TEST((flush || made.events.size() + 2 >= static_cast<std::size_t>(batches)));
            check(folder.file("a.db"), made);
        }
    }
    BOOST_TEST(codes.contains(errc::store_unavailable));
    BOOST_TEST(codes.contains(errc::store_full));
}

BOOST_AUTO_TEST_CASE(a_full_disk_that_has_space_again)
{
    constexpr auto writes = static_cast<unsigned>(kind::write);
    const auto calls = calls_of_work(writes);
    for (std::uint64_t at = 1; at <= calls; at += 2 * step) {
        const temporary_folder folder;
        faulty_disk disk;
        BOOST_TEST_CONTEXT("write " << at)
        {
            disk.fail({.first = at, .calls = 12, .what = fault::full, .kinds = writes});
            const auto made = work_on(folder.file("a.db"));
            BOOST_TEST(disk.failed() > 0u);
            disk.heal();
            check(folder.file("a.db"), made);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_power_fails_at_each_call)
{
    const auto calls = calls_of_work(all_kinds);
    std::size_t lost = 0;
    for (std::uint64_t at = 1; at <= calls; at += 2 * step) {
        const temporary_folder folder;
        faulty_disk disk;
        BOOST_TEST_CONTEXT("call " << at)
        {
            disk.fail({.first = at, .calls = faulty_disk::for_ever});
            const auto made = work_on(folder.file("a.db"));
            lost += static_cast<std::size_t>(batches) - made.events.size();
            disk.lose_power(static_cast<std::uint32_t>(at),
                            std::array{0u, 50u, 100u}[at / 2 / step % 3]);
            disk.heal();
            check(folder.file("a.db"), made);
        }
    }
    BOOST_TEST(lost > 0u);
}

/// The system drops what it could not flush and says so once. Whoever goes on as if nothing had
/// been, in the same process or in one that finds the system's memory of the files, loses what he
/// accepts afterwards, with the power.
/// @param read A reader outside keeps the log in use as the database is opened again.
void fail_flush(std::uint64_t at, bool killed, const pawl::sqlite_options& options,
                bool read = false)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    faulty_disk disk;
    disk.fail({.first = at, .kinds = flushes});
    auto made = work_on(path, options, killed ? &disk : nullptr);
    disk.heal();
    {
        std::optional<outside_reader> reader;
        if (read)
            reader.emplace(path);
        const auto store = pawl::open_sqlite(path, options);
        made.failures.clear();
        work(*store, made, 50);
        work(*store, made, 51);
        BOOST_TEST(made.failures.empty());
        disk.fail({.first = 1, .calls = faulty_disk::for_ever});
    }
    disk.lose_power(static_cast<std::uint32_t>(at), at % 3 == 0 ? 50 : 0);
    disk.heal();
    check(path, made);
}

BOOST_AUTO_TEST_CASE(a_failed_flush_is_never_papered_over)
{
    // The log is moved after each batch, after every few of them, or never.
    for (const std::uint32_t pages : {24u, 50u, 80u, 5000u}) {
        const pawl::sqlite_options options{.wal_autocheckpoint_pages = pages};
        const auto calls = calls_of_work(flushes, options);
        BOOST_TEST_MESSAGE(calls << " flushes with " << pages << " pages");
        for (std::uint64_t at = 1; at <= calls; ++at)
            for (const bool killed : {false, true})
                BOOST_TEST_CONTEXT("flush " << at << ", killed " << killed << ", " << pages)
        fail_flush(at, killed, options);
    }
}

BOOST_AUTO_TEST_CASE(a_failed_flush_is_made_good_while_a_reader_outside_uses_the_log)
{
    const pawl::sqlite_options options{.wal_autocheckpoint_pages = 5000}; // all is in the log
    const auto calls = calls_of_work(flushes, options);
    for (std::uint64_t at = calls - 3; at <= calls; ++at)
        BOOST_TEST_CONTEXT("flush " << at)
    fail_flush(at, false, options, true);
}

BOOST_AUTO_TEST_CASE(after_a_failed_flush_writes_are_refused_until_it_is_opened_again)
{
    const temporary_folder folder;
    faulty_disk disk;
    const auto path = folder.file("a.db");
    auto run = make_run(1, "order-1");
    {
        const auto store = pawl::open_sqlite(path);
        BOOST_TEST(apply_one(*store, store_as(run)).sequence == 1u);
        auto next = run;
        next.version = 2;
        disk.fail({.first = 1, .kinds = flushes});
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next)), pawl::error,
                              fails_with(errc::store_flush_failed, {path, "reopen the database"}));
        disk.heal();
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next)), pawl::error,
                              fails_with(errc::store_flush_failed, {path, "reopen the database"}));
        BOOST_TEST((finish(store->find(run.id)) == run));
    }
    const auto store = pawl::open_sqlite(path);
    const auto stored = finish(store->find(run.id));
    BOOST_REQUIRE(stored.has_value());
    run.version = stored->version + 1; // what failed may be there
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == run.version);
}

BOOST_AUTO_TEST_SUITE_END()
