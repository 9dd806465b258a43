// A database that something has damaged while it was closed: the file, or the log that a killed
// process left. What cannot be trusted is refused by name; a log is used up to its first damage.
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "printing.hpp"
#include "sqlite/support.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

BOOST_AUTO_TEST_SUITE(sqlite_damage)

namespace {

using pawl::errc;

constexpr std::uint64_t versions = 40;

std::string read_file(const std::string& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& path, const std::string& bytes)
{
    std::ofstream{path, std::ios::binary | std::ios::trunc} << bytes;
}

/// A run of many versions in a database, as kill -9 leaves it: most of it is in the log.
struct left_behind {
    std::string database;
    std::string log;

    left_behind()
    {
        const temporary_folder folder;
        const auto path = folder.file("a.db");
        const auto store = pawl::open_sqlite(path);
        auto run = make_run(1, "order-1");
        for (; run.version <= versions; ++run.version) {
            run.object = std::string(2000, static_cast<char>('a' + run.version % 26));
            BOOST_REQUIRE(apply_one(*store, store_as(run)).sequence == run.version);
        }
        database = read_file(path);
        log = read_file(path + "-wal");
    }
};

/// Opens what is there with this log: some version of the run, whole, and it can be continued.
std::uint64_t version_with(const std::string& database, const std::string& log)
{
    const temporary_folder folder;
    const auto path = folder.file("b.db");
    write_file(path, database);
    write_file(path + "-wal", log);
    const auto store = pawl::open_sqlite(path);
    auto run = make_run(1, "order-1");
    const auto stored = finish(store->find(run.id));
    const std::uint64_t version = stored ? stored->version : 0;
    if (stored) {
        BOOST_TEST(stored->object == std::string(2000, static_cast<char>('a' + version % 26)));
        BOOST_TEST(finish(store->history(run.id, 0, 1000)).size() == version);
    }
    run.version = version + 1;
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == version + 1);
    return version;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_log_that_was_cut_is_used_to_its_last_whole_batch)
{
    const left_behind left;
    BOOST_TEST(version_with(left.database, left.log) == versions);
    std::uint64_t before = 0;
    for (std::size_t size = 0; size < left.log.size(); size += 20'011) {
        const auto version = version_with(left.database, left.log.substr(0, size));
        BOOST_TEST(version >= before);
        before = version;
    }
    BOOST_TEST(before > versions / 2);
}

BOOST_AUTO_TEST_CASE(a_log_with_damage_is_used_up_to_it)
{
    const left_behind left;
    for (std::size_t at = 10; at < left.log.size(); at += 30'011) {
        auto damaged = left.log;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
        BOOST_TEST(version_with(left.database, damaged) <= versions);
    }
    BOOST_TEST(version_with(left.database, std::string(50'000, '\x5a')) == 0u);
}

BOOST_AUTO_TEST_CASE(a_log_of_another_database_changes_nothing)
{
    const left_behind left;
    const temporary_folder folder;
    const auto path = folder.file("other.db");
    {
        const auto store = pawl::open_sqlite(path);
        auto run = make_run(2, "order-2");
        apply_one(*store, store_as(run));
    }
    // Its header is not one of a log, as when a copy of a file was put in its place.
    write_file(path + "-wal", std::string(32, '\0') + left.log.substr(32));
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST(finish(store->find(make_run(2, "").id)).has_value());
    BOOST_TEST(!finish(store->find(make_run(1, "").id)).has_value());
}

BOOST_AUTO_TEST_CASE(a_damaged_file_is_refused_or_fails_where_it_is_damaged)
{
    const temporary_folder folder;
    const auto path = folder.file("c.db");
    {
        const auto store = pawl::open_sqlite(path);
        for (std::uint8_t i = 1; i < 100; ++i) {
            auto run = make_run(i, "order-" + std::to_string(i));
            run.object = std::string(3000, 'x');
            apply_one(*store, store_as(run));
        }
    }
    const auto whole = read_file(path);
    const auto use = [&] {
        const auto store = pawl::open_sqlite(path);
        for (std::uint8_t i = 1; i < 100; ++i) {
            const auto run = finish(store->find(make_run(i, "").id));
            BOOST_TEST_REQUIRE(
                (!run || run->object.find_first_not_of("x\x5a") == std::string::npos));
        }
    };
    // The header; the first page behind it; each page in the middle; half of the file missing.
    auto damaged = whole;
    damaged.replace(0, 100, 100, '\x5a');
    write_file(path, damaged);
    BOOST_CHECK_EXCEPTION(use(), pawl::error, fails_with(errc::store_corrupt, {path}));

    int noticed = 0;
    for (std::size_t page = 1; (page + 1) * 4096 <= whole.size(); page += 3) {
        damaged = whole;
        damaged.replace(page * 4096, 4096, 4096, '\x5a');
        write_file(path, damaged);
        try {
            use();
        } catch (const pawl::error& problem) {
            BOOST_TEST(problem.code() == errc::store_corrupt, problem.what());
            ++noticed;
        }
    }
    BOOST_TEST(noticed > 10);

    write_file(path, whole.substr(0, whole.size() / 2));
    BOOST_CHECK_EXCEPTION(use(), pawl::error, fails_with(errc::store_corrupt, {path}));

    write_file(path, whole);
    BOOST_CHECK_NO_THROW(use());
}

BOOST_AUTO_TEST_SUITE_END()
