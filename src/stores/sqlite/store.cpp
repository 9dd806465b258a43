#include "core/option_check.hpp"
#include "core/saturating_add.hpp"
#include "pawl/error.hpp"
#include "pawl/sqlite.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/sqlite/connection.hpp"
#include "stores/sqlite/database_file.hpp"
#include "stores/sqlite/reader.hpp"
#include "stores/sqlite/schema.hpp"
#include "stores/sqlite/worker.hpp"
#include "stores/sqlite/writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <variant>
#include <vector>

namespace pawl {

namespace {

namespace asio = boost::asio;
using sqlite::run_on;

constexpr const char* in_memory = ":memory:";

/// Null for a database in memory.
std::unique_ptr<sqlite::database_file> open_file(const std::string& path)
{
    if (path.empty())
        throw error{errc::invalid_argument, "the path of the database is empty"};
    return path == in_memory ? nullptr : std::make_unique<sqlite::database_file>(path);
}

constexpr std::uint32_t max_checkpoint_pages = 1'000'000;

/// Holds the pages of a batch of a thousand random runs and their indexes.
constexpr const char* writer_cache = "PRAGMA cache_size = -65536";

/// Rewrites the WAL with its own bytes, and flushes it.
void rewrite_wal(sqlite::connection& database)
{
    const sqlite::transaction writing{database}; // excludes other writers of the WAL
    sqlite3_file* wal = nullptr;
    sqlite3_file_control(database.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    const auto check = [&database](int code) {
        if (code != SQLITE_OK)
            database.fail(code, "rewriting the WAL");
    };
    sqlite3_int64 size = 0;
    check(wal->pMethods->xFileSize(wal, &size));
    std::vector<char> block(64 * 1024); // the size must be less than SQLite's limit of 128 KiB
    for (sqlite3_int64 offset = 0; offset < size;) {
        const auto part = static_cast<int>(
            std::min<sqlite3_int64>(static_cast<sqlite3_int64>(block.size()), size - offset));
        check(wal->pMethods->xRead(wal, block.data(), part, offset));
        check(wal->pMethods->xWrite(wal, block.data(), part, offset));
        offset += part;
    }
    check(wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL));
}

/// Enables the WAL and starts an empty one. A WAL of an earlier process may contain pages that a
/// failed flush did not write and only the system's cache holds; later commits behind them would be
/// lost with them. A checkpoint of the whole WAL writes them again. If another program's reader
/// prevents that, the WAL is kept and rewritten.
void enable_wal(sqlite::connection& database)
{
    {
        sqlite::statement prepared{database, "PRAGMA journal_mode = WAL"};
        sqlite::execution mode{prepared};
        if (!mode.row() || mode.bytes() != "wal")
            throw error{errc::store_unavailable,
                        database.path() + ": its file system does not allow a write-ahead log"};
        mode.row(); // the last step commits the change
    }
    const int code = sqlite3_wal_checkpoint_v2(database.handle(), "main",
                                               SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code == SQLITE_BUSY)
        rewrite_wal(database);
    else if (code != SQLITE_OK)
        database.fail(code, "checkpointing the WAL");
}

/// Prepares the connection for writing, and returns it.
sqlite::connection& prepare(sqlite::connection& database, const sqlite_options& options)
{
    const auto& path = database.path();
    if (sqlite3_db_readonly(database.handle(), "main") == 1)
        throw error{errc::store_read_only, path + ": the file cannot be written"};
    if (options.max_bytes > 0) {
        const auto page_size = static_cast<std::uint64_t>(database.integer("PRAGMA page_size"));
        database.execute(fmt::format("PRAGMA max_page_count = {}",
                                     std::max<std::uint64_t>(1, options.max_bytes / page_size))
                             .c_str());
    }
    database.execute(options.synchronous == sqlite_synchronous::full
                         ? "PRAGMA synchronous = FULL"
                         : "PRAGMA synchronous = NORMAL");
    database.execute(writer_cache);
    sqlite::prepare_schema(database, options.shards);
    if (path != in_memory) {
        enable_wal(database);
        // Truncates a WAL that grew past its usual size because another program's reader used it.
        const auto page = database.integer("PRAGMA page_size") + 24;
        database.execute(fmt::format("PRAGMA journal_size_limit = {}",
                                     2 * page * options.wal_autocheckpoint_pages)
                             .c_str());
    }
    return database;
}

using sqlite_work = std::function<void(sqlite3*)>;

/// The work of the application and a transition of a run, as one job of the writing thread.
class joint_transaction final : public store_transaction {
public:
    joint_transaction(sqlite::writer& writer, sqlite::worker& thread, sqlite_work work)
        : writer_(writer), thread_(thread), work_(std::move(work))
    {
    }

    asio::awaitable<void> run() override { co_return; }

    asio::awaitable<apply_result> commit(transition& next,
                                         const std::function<void(transition&)>& complete) override
    {
        return run_on(thread_,
                      [this, &next, &complete] { return writer_.apply_in(work_, next, complete); });
    }

private:
    sqlite::writer& writer_;
    sqlite::worker& thread_;
    const sqlite_work work_;
};

/// Passes each call to a thread. A database in memory has one connection and so one thread.
class sqlite_store final : public record_store {
public:
    sqlite_store(const std::string& path, const sqlite_options& options)
        : clock_(options.clock), file_(open_file(path)),
          write_database_(file_ ? file_->path() : in_memory),
          writer_(prepare(write_database_, options), file_.get()), shards_(writer_.shards())
    {
        if (options.prepare)
            writer_.prepare(options.prepare);
        if (!file_) {
            reader_.emplace(write_database_, shards_);
            return;
        }
        file_->watch_wal();
        write_database_.set_autocheckpoint(static_cast<int>(options.wal_autocheckpoint_pages));
        read_database_.emplace(file_->path());
        read_database_->execute("PRAGMA query_only = 1");
        reader_.emplace(*read_database_, shards_);
        read_thread_.emplace();
    }

    std::uint32_t shards() const noexcept override { return shards_; }
    bool shared() const noexcept override { return false; }

    asio::awaitable<std::vector<apply_result>> apply(std::span<const change> batch) override
    {
        return run_on(write_thread_, [this, batch] { return writer_.apply(batch); });
    }

    std::unique_ptr<store_transaction> make_transaction(transaction_work work) override
    {
        if (auto* const function = std::get_if<sqlite_work>(&work))
            return std::make_unique<joint_transaction>(writer_, write_thread_,
                                                       std::move(*function));
        return record_store::make_transaction(std::move(work));
    }

    asio::awaitable<std::optional<record>> find(run_id id) override
    {
        return run_on(read_thread(), [this, id] { return reader_->find(id); });
    }

    asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                  std::string_view foreign_id) override
    {
        return run_on(read_thread(), [this, workflow, foreign_id] {
            return reader_->latest(workflow, foreign_id);
        });
    }

    asio::awaitable<record_page> list(const record_query& query) override
    {
        return run_on(read_thread(), [this, &query] { return reader_->list(query); });
    }

    asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                     bool unfinished_only) override
    {
        return run_on(read_thread(), [this, workflow, unfinished_only] {
            return reader_->count(workflow, unfinished_only);
        });
    }

    asio::awaitable<child_counts> count_children(run_id parent) override
    {
        return run_on(read_thread(), [this, parent] { return reader_->count_children(parent); });
    }

    asio::awaitable<due_page> due(std::uint32_t shard, due_position from, time_point until,
                                  std::size_t limit) override
    {
        return run_on(read_thread(), [this, shard, from, until, limit] {
            return reader_->due(shard, from, until, limit);
        });
    }

    asio::awaitable<std::vector<event>> events(std::uint32_t shard, std::uint64_t after,
                                               std::size_t limit) override
    {
        return run_on(read_thread(),
                      [this, shard, after, limit] { return reader_->events(shard, after, limit); });
    }

    asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after,
                                                std::size_t limit) override
    {
        return run_on(read_thread(),
                      [this, run, after, limit] { return reader_->history(run, after, limit); });
    }

    asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after,
                                                std::size_t limit) override
    {
        return run_on(read_thread(),
                      [this, run, after, limit] { return reader_->inbox(run, after, limit); });
    }

    asio::awaitable<std::optional<settlement>> outcome(run_id run, std::uint64_t sequence) override
    {
        return run_on(read_thread(),
                      [this, run, sequence] { return reader_->outcome(run, sequence); });
    }

    asio::awaitable<std::uint64_t> cursor(std::string_view name, std::uint32_t shard) override
    {
        return run_on(read_thread(), [this, name, shard] { return reader_->cursor(name, shard); });
    }

    asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                         std::string_view workflow,
                                                         time_point before,
                                                         std::size_t limit) override
    {
        return run_on(read_thread(), [this, shard, workflow, before, limit] {
            return reader_->finished_before(shard, workflow, before, limit);
        });
    }

    asio::awaitable<std::vector<record>> finished_behind(std::uint32_t shard,
                                                         std::string_view workflow,
                                                         finished_position after, time_point before,
                                                         std::size_t limit) override
    {
        return run_on(read_thread(), [this, shard, workflow, after, before, limit] {
            return reader_->finished_behind(shard, workflow, after, before, limit);
        });
    }

    asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        return run_on(read_thread(), [this, shard] { return reader_->log_end(shard); });
    }

    asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) override
    {
        return run_on(read_thread(), [this, topic, after, limit] {
            return reader_->topic_events(topic, after, limit);
        });
    }

    asio::awaitable<std::uint64_t> topic_end(std::string_view topic) override
    {
        return run_on(read_thread(), [this, topic] { return reader_->topic_end(topic); });
    }

    asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) override
    {
        const auto now = clock_->now();
        return run_on(write_thread_, [this, role, owner, now, lease_duration] {
            return writer_.claim_role(role, owner, now, core::saturating_add(now, lease_duration));
        });
    }

    asio::awaitable<void> release_role(role_lease held) override
    {
        auto done = run_on(write_thread_, [this, held] {
            writer_.release_role(held);
            return std::monostate{};
        });
        co_await std::move(done);
    }

    asio::awaitable<void> forget_roles(std::string_view prefix) override
    {
        const auto now = clock_->now();
        auto done = run_on(write_thread_, [this, prefix, now] {
            writer_.forget_roles(prefix, now);
            return std::monostate{};
        });
        co_await std::move(done);
    }

    asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) override
    {
        const auto now = clock_->now();
        return run_on(write_thread_, [this, prefix, now] { return writer_.roles(prefix, now); });
    }

    // No other process can use the file, so leases do not expire.
    asio::awaitable<std::vector<lease>> claim(std::vector<std::uint32_t> shards,
                                              std::string_view owner, duration) override
    {
        return run_on(write_thread_, [this, shards = std::move(shards), owner] {
            return writer_.claim(shards, owner);
        });
    }

    asio::awaitable<void> release(std::vector<lease> held) override
    {
        auto done = run_on(write_thread_, [this, held] {
            writer_.release(held);
            return std::monostate{};
        });
        co_await std::move(done);
    }

    asio::awaitable<std::vector<lease>> leases() override
    {
        return run_on(write_thread_, [this] { return writer_.leases(); });
    }

private:
    sqlite::worker& read_thread() noexcept { return read_thread_ ? *read_thread_ : write_thread_; }

    const std::shared_ptr<clock> clock_;

    // Destroyed in reverse order: the threads, the statements, the connections, and last the lock.
    std::unique_ptr<sqlite::database_file> file_;
    sqlite::connection write_database_;
    sqlite::writer writer_;
    const std::uint32_t shards_;
    std::optional<sqlite::connection> read_database_;
    std::optional<sqlite::reader> reader_;
    sqlite::worker write_thread_;
    std::optional<sqlite::worker> read_thread_;
};

} // namespace

std::shared_ptr<record_store> open_sqlite(std::string path, sqlite_options options)
{
    core::check_shard_count("sqlite_options", options.shards);
    core::option_check{"sqlite_options::"}.within(
        "wal_autocheckpoint_pages", options.wal_autocheckpoint_pages, 1, max_checkpoint_pages);
    core::check_clock("sqlite_options", options.clock);
    return std::make_shared<sqlite_store>(path, options);
}

} // namespace pawl
