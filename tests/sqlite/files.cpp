// What stands in the way of opening a database, and how it is said: files of others, of newer
// versions, damaged ones, places that cannot be written, and a file that is full.
#include "pawl/error.hpp"
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "printing.hpp"
#include "sqlite/support.hpp"

#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <memory>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

BOOST_AUTO_TEST_SUITE(sqlite_files)

namespace {

using pawl::errc;

std::string read_file(const std::string& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::string& path, const std::string& bytes)
{
    std::ofstream{path, std::ios::binary} << bytes;
}

/// Runs SQL on a file as another program would.
void run_sql(const std::string& path, const std::string& sql)
{
    sqlite3* opened = nullptr;
    BOOST_REQUIRE(sqlite3_open(path.c_str(), &opened) == SQLITE_OK);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> database{opened, sqlite3_close};
    BOOST_REQUIRE_MESSAGE(sqlite3_exec(opened, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK,
                          sqlite3_errmsg(opened));
}

/// Makes a database with some runs and closes it.
void fill(const std::string& path)
{
    const auto store = pawl::open_sqlite(path, {.synchronous = pawl::sqlite_synchronous::normal});
    for (std::uint8_t i = 1; i < 200; ++i) {
        auto run = make_run(i, "order-" + std::to_string(i));
        run.object = std::string(500, 'x');
        BOOST_TEST_REQUIRE(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);
    }
}

/// Makes a file unchangeable while it lives; not every file system can.
class unchangeable {
public:
    explicit unchangeable(const std::string& path) : file_(::open(path.c_str(), O_RDONLY))
    {
        made_ = change(FS_IMMUTABLE_FL, 0);
    }
    ~unchangeable()
    {
        if (made_)
            change(0, FS_IMMUTABLE_FL);
        ::close(file_);
    }

    explicit operator bool() const { return made_; }

private:
    bool change(int set, int clear) const
    {
        int flags = 0;
        if (::ioctl(file_, FS_IOC_GETFLAGS, &flags) != 0)
            return false;
        flags = (flags & ~clear) | set;
        return ::ioctl(file_, FS_IOC_SETFLAGS, &flags) == 0;
    }

    int file_;
    bool made_ = false;
};

} // namespace

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused)
{
    BOOST_CHECK_THROW(pawl::open_sqlite(":memory:", {.shards = 0}), pawl::definition_error);
    BOOST_CHECK_THROW(pawl::open_sqlite(":memory:", {.shards = 5000}), pawl::definition_error);
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(""), pawl::error,
                          fails_with(errc::invalid_argument, {"path"}));
}

BOOST_AUTO_TEST_CASE(a_second_open_is_refused)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    auto store = pawl::open_sqlite(path);
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_locked, {path}));
    // Under any name of the file.
    std::filesystem::create_symlink(path, folder.file("link.db"));
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(folder.file("link.db")), pawl::error,
                          fails_with(errc::store_locked, {path}));
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(folder.file("./a.db")), pawl::error,
                          fails_with(errc::store_locked, {path}));
    store.reset();
    BOOST_CHECK_NO_THROW(pawl::open_sqlite(path));
}

BOOST_AUTO_TEST_CASE(a_newer_format_is_refused)
{
    const temporary_folder folder;
    const auto path = folder.file("newer.db");
    pawl::open_sqlite(path);
    run_sql(path, "PRAGMA user_version = 1000");
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_version_unsupported, {path, "version 1000"}));
}

BOOST_AUTO_TEST_CASE(a_database_of_another_program_is_refused_and_left_alone)
{
    const temporary_folder folder;
    const auto path = folder.file("foreign.db");
    run_sql(path, "CREATE TABLE addresses (name TEXT); INSERT INTO addresses VALUES ('x')");
    const auto before = read_file(path);
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_corrupt, {path, "another program"}));
    BOOST_TEST((read_file(path) == before));

    const auto marked = folder.file("marked.db");
    run_sql(marked, "PRAGMA application_id = 77");
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(marked), pawl::error,
                          fails_with(errc::store_corrupt, {marked}));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_database_is_refused_and_left_alone)
{
    const temporary_folder folder;
    const auto path = folder.file("notes.txt");
    const std::string notes(5000, 'n');
    write_file(path, notes);
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_corrupt, {path, "not a database"}));
    BOOST_TEST((read_file(path) == notes));
}

BOOST_AUTO_TEST_CASE(an_empty_file_becomes_a_database)
{
    const temporary_folder folder;
    write_file(folder.file("empty.db"), "");
    BOOST_CHECK_NO_THROW(pawl::open_sqlite(folder.file("empty.db")));
}

BOOST_AUTO_TEST_CASE(damage_is_noticed)
{
    const temporary_folder folder;
    const auto path = folder.file("damaged.db");
    fill(path);
    auto bytes = read_file(path);
    BOOST_REQUIRE(bytes.size() > 20 * 4096u);
    std::fill(bytes.begin() + 4096, bytes.end(), '\x5a');
    write_file(path, bytes);
    const auto use = [&path] {
        const auto store = pawl::open_sqlite(path);
        finish(store->find(make_run(7, "").id));
    };
    BOOST_CHECK_EXCEPTION(use(), pawl::error, fails_with(errc::store_corrupt, {path}));
}

BOOST_AUTO_TEST_CASE(damaged_values_are_noticed)
{
    const temporary_folder folder;
    const std::string damages[] = {"UPDATE runs SET details = x'63'", "UPDATE runs SET state = 9",
                                   "UPDATE runs SET state = 0"};
    for (const auto& damage : damages) {
        const auto path = folder.file("values.db");
        std::filesystem::remove(path);
        fill(path);
        run_sql(path, damage);
        const auto store = pawl::open_sqlite(path);
        BOOST_CHECK_EXCEPTION(finish(store->find(make_run(7, "").id)), pawl::error,
                              fails_with(errc::store_corrupt, {}));
        // The store itself still stands.
        BOOST_CHECK_NO_THROW(finish(store->cursor("hooks", 0)));
    }
}

BOOST_AUTO_TEST_CASE(a_missing_table_is_noticed)
{
    const temporary_folder folder;
    const auto path = folder.file("missing.db");
    fill(path);
    run_sql(path, "DROP TABLE events");
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_corrupt, {path, "events"}));
}

BOOST_AUTO_TEST_CASE(places_that_cannot_be_written_are_named)
{
    const temporary_folder folder;
    write_file(folder.file("plain"), "text");
    for (const auto& path : {folder.file("plain/orders.db"), folder.file("missing/orders.db"),
                             std::string{"/proc/orders.db"}})
        BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                              fails_with(errc::store_read_only, {path}));
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(folder.file("")), pawl::error,
                          fails_with(errc::store_read_only, {"folder"}));
}

BOOST_AUTO_TEST_CASE(a_read_only_file_is_named)
{
    const temporary_folder folder;
    const auto path = folder.file("fixed.db");
    fill(path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    const unchangeable fixed{path};
    if (::geteuid() == 0 && !fixed) {
        BOOST_TEST_MESSAGE("skipped: nothing is read-only for this user on this file system");
        return;
    }
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(path), pawl::error,
                          fails_with(errc::store_read_only, {path}));
}

BOOST_AUTO_TEST_CASE(a_full_database_says_so_and_keeps_what_it_has)
{
    const temporary_folder folder;
    const auto path = folder.file("full.db");
    pawl::record last;
    {
        const auto store = pawl::open_sqlite(path, {.max_bytes = 1 << 20});
        auto run = make_run(1, "growing");
        run.object = std::string(100'000, 'x');
        BOOST_TEST_REQUIRE(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);
        last = run;
        const auto grow = [&] {
            for (std::uint8_t i = 2; i < 100; ++i) {
                auto other = make_run(i, "growing-" + std::to_string(i));
                other.object = run.object;
                // The second change of the batch is refused with the first: all or nothing.
                auto next = last;
                ++next.version;
                const std::vector<pawl::change> batch{store_as(next), store_as(other)};
                finish(store->apply(batch));
                last = next;
            }
        };
        BOOST_CHECK_EXCEPTION(grow(), pawl::error, fails_with(errc::store_full, {path, "full"}));
        BOOST_TEST(last.version > 1u);
        BOOST_TEST((finish(store->find(run.id)) == last));
        // What needs no more space still works, with the numbers from before the failure.
        ++last.version;
        BOOST_TEST(apply_one(*store, store_as(last)).sequence == 2 * last.version - 2);
    }
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST((finish(store->find(last.id)) == last));
    const auto log = finish(store->events(0, 0, 1000));
    for (std::size_t i = 0; i < log.size(); ++i)
        BOOST_TEST(log[i].sequence == i + 1);
}

BOOST_AUTO_TEST_CASE(a_writer_outside_is_waited_for_then_named)
{
    const temporary_folder folder;
    const auto path = folder.file("busy.db");
    const auto store = pawl::open_sqlite(path);
    sqlite3* opened = nullptr;
    BOOST_REQUIRE(sqlite3_open(path.c_str(), &opened) == SQLITE_OK);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> outside{opened, sqlite3_close};
    BOOST_REQUIRE(sqlite3_exec(opened, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
    const auto run = make_run(1, "blocked");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                          fails_with(errc::store_locked, {path, "locked"}));
    BOOST_REQUIRE(sqlite3_exec(opened, "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK);
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
