// One file, one owner: by whatever name a database is opened, in whatever process, a second store
// on it is refused; and what other programs do to the file is noticed before the next batch.
#include "pawl/error.hpp"
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "printing.hpp"
#include "sqlite/support.hpp"

#include <sqlite3.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

BOOST_AUTO_TEST_SUITE(sqlite_owner)

namespace {

using pawl::apply_status;
using pawl::errc;

/// The working folder, while it lives.
class working_folder {
public:
    explicit working_folder(const std::filesystem::path& folder)
        : before_(std::filesystem::current_path())
    {
        std::filesystem::current_path(folder);
    }
    ~working_folder() { std::filesystem::current_path(before_); }
    working_folder(const working_folder&) = delete;
    working_folder& operator=(const working_folder&) = delete;

private:
    std::filesystem::path before_;
};

/// A connection of another program.
class outside {
public:
    explicit outside(const std::string& path)
    {
        sqlite3* opened = nullptr;
        BOOST_REQUIRE(sqlite3_open(path.c_str(), &opened) == SQLITE_OK);
        handle_.reset(opened);
    }

    void run(const std::string& sql)
    {
        BOOST_REQUIRE_MESSAGE(sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) ==
                                  SQLITE_OK,
                              sqlite3_errmsg(handle_.get()));
    }

private:
    struct closer {
        void operator()(sqlite3* handle) const { sqlite3_close(handle); }
    };
    std::unique_ptr<sqlite3, closer> handle_;
};

/// A child process that opens a database when it is told to, and keeps it open until the object is
/// destroyed. Precondition of the constructor: this process has no database open.
class other_process {
public:
    explicit other_process(const std::string& path)
    {
        BOOST_REQUIRE(::pipe(orders_) == 0);
        BOOST_REQUIRE(::pipe(answers_) == 0);
        child_ = ::fork();
        BOOST_REQUIRE(child_ >= 0);
        if (child_ == 0) {
            ::close(orders_[1]);
            ::close(answers_[0]);
            work(path);
        }
        ::close(orders_[0]);
        ::close(answers_[1]);
    }
    ~other_process()
    {
        ::close(orders_[1]);
        ::close(answers_[0]);
        ::waitpid(child_, nullptr, 0);
    }
    other_process(const other_process&) = delete;
    other_process& operator=(const other_process&) = delete;

    /// Whether it could.
    bool open()
    {
        char answer = 0;
        return ::write(orders_[1], "o", 1) == 1 && ::read(answers_[0], &answer, 1) == 1 &&
               answer == 'y';
    }

private:
    [[noreturn]] void work(const std::string& path) noexcept
    {
        std::shared_ptr<pawl::record_store> store;
        char order = 0;
        while (::read(orders_[0], &order, 1) == 1) {
            try {
                store = pawl::open_sqlite(path);
            } catch (const pawl::error&) {
            }
            if (::write(answers_[1], store ? "y" : "n", 1) != 1)
                break;
        }
        store.reset();
        ::_exit(0);
    }

    int orders_[2];
    int answers_[2];
    pid_t child_ = -1;
};

pawl::record next_of(pawl::record run)
{
    ++run.version;
    return run;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_link_that_led_to_nothing_names_the_file_that_it_made)
{
    const temporary_folder folder;
    std::filesystem::create_directory(folder.file("data"));
    std::filesystem::create_symlink("data/orders.db", folder.file("orders.db"));
    const auto store = pawl::open_sqlite(folder.file("orders.db"));
    for (const auto* name : {"orders.db", "data/orders.db"})
        BOOST_CHECK_EXCEPTION(
            pawl::open_sqlite(folder.file(name)), pawl::error,
            fails_with(errc::store_locked, {folder.file("data/orders.db"), "in this process"}));
    BOOST_TEST(std::filesystem::exists(folder.file("data/orders.db.lock")));
}

BOOST_AUTO_TEST_CASE(a_second_process_is_refused_by_any_name)
{
    const temporary_folder folder;
    std::filesystem::create_symlink("real.db", folder.file("link.db"));
    other_process other{folder.file("link.db")};
    BOOST_REQUIRE(other.open());
    for (const auto* name : {"real.db", "link.db"})
        BOOST_CHECK_EXCEPTION(
            pawl::open_sqlite(folder.file(name)), pawl::error,
            fails_with(errc::store_locked, {folder.file("real.db"), "in another process"}));
}

BOOST_AUTO_TEST_CASE(a_path_is_a_name_and_no_uri)
{
    const temporary_folder folder;
    const working_folder here{folder.file("")};
    const auto plain = pawl::open_sqlite("x.db");
    const auto other = pawl::open_sqlite("file:x.db");
    apply_one(*plain, store_as(make_run(1, "a")));
    BOOST_TEST(!finish(other->find(make_run(1, "").id)).has_value());
    BOOST_TEST(std::filesystem::exists("file:x.db"));
}

BOOST_AUTO_TEST_CASE(a_relative_path_means_the_same_file_after_a_change_of_folder)
{
    const temporary_folder folder;
    const temporary_folder elsewhere;
    std::shared_ptr<pawl::record_store> store;
    {
        const working_folder here{folder.file("")};
        store = pawl::open_sqlite("x.db");
    }
    const working_folder there{elsewhere.file("")};
    BOOST_TEST(apply_one(*store, store_as(make_run(1, "a"))).sequence == 1u);
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(folder.file("x.db")), pawl::error,
                          fails_with(errc::store_locked, {folder.file("x.db")}));
    BOOST_CHECK_NO_THROW(pawl::open_sqlite("x.db"));
    BOOST_TEST(std::filesystem::exists(elsewhere.file("x.db.lock")));
}

BOOST_AUTO_TEST_CASE(a_file_with_hard_links_is_refused)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    other_process other{path};
    BOOST_REQUIRE(other.open());
    std::filesystem::create_hard_link(path, folder.file("b.db"));
    BOOST_CHECK_EXCEPTION(pawl::open_sqlite(folder.file("b.db")), pawl::error,
                          fails_with(errc::store_locked, {folder.file("b.db"), "2 hard links"}));
    std::filesystem::remove(folder.file("b.db"));
}

BOOST_AUTO_TEST_CASE(a_child_process_does_not_keep_the_lock_of_its_parent)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    int ready[2];
    int end[2];
    BOOST_REQUIRE(::pipe(ready) == 0);
    BOOST_REQUIRE(::pipe(end) == 0);
    const pid_t parent = ::fork();
    BOOST_REQUIRE(parent >= 0);
    if (parent == 0) {
        const auto store = pawl::open_sqlite(path);
        ::close(end[1]);
        char none = 0;
        if (::fork() == 0) { // lives until the test has ended
            ::close(ready[1]);
            [[maybe_unused]] const auto ended = ::read(end[0], &none, 1);
            ::_exit(0);
        }
        ::kill(::getpid(), SIGKILL);
    }
    ::close(ready[1]);
    char none = 0;
    BOOST_TEST(::read(ready[0], &none, 1) == 0); // the child has begun, the parent has ended
    int status = 0;
    BOOST_REQUIRE(::waitpid(parent, &status, 0) == parent);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    BOOST_CHECK_NO_THROW(pawl::open_sqlite(path));
    ::close(ready[0]);
    ::close(end[0]);
    ::close(end[1]);
}

BOOST_AUTO_TEST_CASE(a_lock_file_that_was_removed_is_made_again)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    other_process other{path};
    const auto store = pawl::open_sqlite(path);
    std::filesystem::remove(path + ".lock");
    BOOST_TEST(apply_one(*store, store_as(make_run(1, "a"))).sequence == 1u);
    BOOST_TEST(std::filesystem::exists(path + ".lock"));
    BOOST_TEST(!other.open());
}

BOOST_AUTO_TEST_CASE(a_process_that_opened_the_file_without_the_lock_file_is_noticed)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    other_process other{path};
    const auto store = pawl::open_sqlite(path);
    std::filesystem::remove(path + ".lock");
    BOOST_REQUIRE(other.open());
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(make_run(1, "a"))), pawl::error,
                          fails_with(errc::store_locked, {path, "in another process"}));
}

BOOST_AUTO_TEST_CASE(a_file_that_was_removed_takes_no_more)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto store = pawl::open_sqlite(path);
    const auto run = make_run(1, "a");
    apply_one(*store, store_as(run));
    std::filesystem::rename(path, folder.file("b.db"));
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next_of(run))), pawl::error,
                          fails_with(errc::store_unavailable, {path, "removed"}));
    {
        const temporary_folder apart;
        pawl::open_sqlite(apart.file("restored.db"));
        std::filesystem::rename(apart.file("restored.db"), path);
    }
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next_of(run))), pawl::error,
                          fails_with(errc::store_unavailable, {path, "replaced"}));
    BOOST_TEST((finish(store->find(run.id)) == run));
    std::filesystem::rename(folder.file("b.db"), path);
    BOOST_TEST(apply_one(*store, store_as(next_of(run))).sequence == 2u);
}

BOOST_AUTO_TEST_CASE(a_log_that_was_removed_takes_no_more_and_loses_nothing)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto run = make_run(1, "a");
    {
        const auto store = pawl::open_sqlite(path);
        apply_one(*store, store_as(run));
        std::filesystem::remove(path + "-wal");
        BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next_of(run))), pawl::error,
                              fails_with(errc::store_unavailable, {path + "-wal", "removed"}));
    }
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(apply_one(*store, store_as(next_of(run))).sequence == 2u);
}

BOOST_AUTO_TEST_CASE(what_another_program_wrote_is_taken_into_account)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto store = pawl::open_sqlite(path);
    auto run = make_run(1, "a");
    apply_one(*store, store_as(run));
    const std::vector<std::uint32_t> shards{0};
    const auto held = finish(store->claim(shards, "engine", pawl::duration::max())).front();
    outside program{path};

    program.run("UPDATE runs SET version = 5");
    const auto late = apply_one(*store, store_as(next_of(run)));
    BOOST_TEST(late.status == apply_status::conflict);
    run.version = 5;
    BOOST_TEST(apply_one(*store, store_as(next_of(run))).status == apply_status::accepted);

    program.run("INSERT INTO workflows (name) VALUES ('refunds')");
    auto refund = make_run(2, "b");
    refund.workflow = "refunds";
    BOOST_TEST(apply_one(*store, store_as(refund)).status == apply_status::accepted);

    program.run("UPDATE shards SET next_sequence = 100");
    BOOST_TEST(apply_one(*store, store_as(make_run(3, "c"))).sequence == 100u);

    program.run("UPDATE shards SET epoch = epoch + 1");
    auto fenced = store_as(make_run(4, "d"));
    fenced.epoch = held.epoch;
    BOOST_TEST(apply_one(*store, fenced).status == apply_status::fenced);
}

BOOST_AUTO_TEST_CASE(a_format_that_another_program_changed_is_refused)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto store = pawl::open_sqlite(path);
    outside program{path};
    program.run("PRAGMA user_version = 1000");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(make_run(1, "a"))), pawl::error,
                          fails_with(errc::store_version_unsupported, {path, "version 1000"}));
    program.run("PRAGMA user_version = 7; INSERT INTO shards VALUES (1, 1, '', 0, NULL)");
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(make_run(1, "a"))), pawl::error,
                          fails_with(errc::store_corrupt, {path, "shards"}));
    program.run("DELETE FROM shards WHERE shard = 1");
    BOOST_TEST(apply_one(*store, store_as(make_run(1, "a"))).sequence == 1u);
}

/// Deletes all events through another connection as soon as the second one is looked up.
struct deletion {
    inline static outside* program = nullptr;
    inline static int lookups = 0;

    static int trace(unsigned, void*, void* statement, void*)
    {
        const std::string sql = sqlite3_sql(static_cast<sqlite3_stmt*>(statement));
        if (program && sql.find("FROM events") != sql.npos &&
            sql.find("position = ?") != sql.npos && ++lookups == 2)
            std::exchange(program, nullptr)->run("DELETE FROM events");
        return 0;
    }

    static int attach(sqlite3* opened, char**, const sqlite3_api_routines*)
    {
        return sqlite3_trace_v2(opened, SQLITE_TRACE_STMT, &trace, nullptr);
    }
};

BOOST_AUTO_TEST_CASE(a_history_is_read_as_of_one_moment)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto attach = reinterpret_cast<void (*)()>(&deletion::attach);
    BOOST_REQUIRE(sqlite3_auto_extension(attach) == SQLITE_OK);
    const auto store = pawl::open_sqlite(path);
    sqlite3_cancel_auto_extension(attach);
    auto run = make_run(1, "a");
    for (; run.version <= 4; ++run.version)
        apply_one(*store, store_as(run));
    outside program{path};
    deletion::program = &program;
    BOOST_TEST(finish(store->history(run.id, 0, 100)).size() == 4u);
    BOOST_TEST(!deletion::program); // it came in between
    BOOST_TEST(finish(store->history(run.id, 0, 100)).empty());
}

BOOST_AUTO_TEST_CASE(the_log_shrinks_after_an_outside_reader_has_ended)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const pawl::sqlite_options options{.synchronous = pawl::sqlite_synchronous::normal,
                                       .wal_autocheckpoint_pages = 50};
    const auto store = pawl::open_sqlite(path, options);
    auto run = make_run(1, "a");
    run.object = std::string(40'000, 'x');
    const auto write = [&](int batches) {
        for (int i = 0; i < batches; ++i, ++run.version)
            apply_one(*store, store_as(run));
        return std::filesystem::file_size(path + "-wal");
    };
    write(1);
    const auto limit = 2 * 50 * (4096 + 24);
    outside reader{path};
    reader.run("BEGIN; SELECT count(*) FROM runs");
    BOOST_TEST(write(100) > 2 * limit);
    reader.run("COMMIT");
    BOOST_TEST(write(40) <= limit);
}

BOOST_AUTO_TEST_CASE(a_copy_of_a_database_that_is_in_use_can_be_opened)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto store = pawl::open_sqlite(path);
    const auto run = make_run(1, "a");
    apply_one(*store, store_as(run));
    outside{path}.run("VACUUM INTO '" + folder.file("copy.db") + "'");
    apply_one(*store, store_as(next_of(run)));
    const auto copy = pawl::open_sqlite(folder.file("copy.db"));
    BOOST_TEST((finish(copy->find(run.id)) == run));
    BOOST_TEST(apply_one(*copy, store_as(next_of(run))).sequence == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
