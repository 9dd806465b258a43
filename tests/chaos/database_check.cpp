#include "chaos/database_check.hpp"

#include "pawl/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <sqlite3.h>

#include <exception>
#include <memory>

namespace chaos {

namespace {

using boost::asio::awaitable;

constexpr std::size_t page = 1000;

awaitable<void> check_run(pawl::record_store& store, pawl::record run,
                          std::vector<std::string>& faults)
{
    if (!is_finished(run.state))
        faults.push_back(fmt::format("{} has not finished", run.foreign_id));
    if (run.inbox_pending != 0)
        faults.push_back(fmt::format("{} has messages left", run.foreign_id));
    const auto history = co_await store.history(run.id, 0, 100 * page);
    std::uint64_t version = 0;
    for (const auto& entry : history)
        if (entry.version != ++version)
            faults.push_back(fmt::format("{}: version {} is missing", run.foreign_id, version));
    if (version != run.version)
        faults.push_back(fmt::format("{} has version {}, and {} events", run.foreign_id,
                                     run.version, history.size()));
}

awaitable<void> check_store(pawl::record_store& store, std::vector<std::string>& faults)
{
    pawl::record_query query;
    query.limit = page;
    do {
        const auto found = co_await store.list(query);
        for (const auto& run : found.runs)
            co_await check_run(store, run, faults);
        query.after = found.next;
    } while (query.after);

    for (std::uint32_t shard = 0; shard < store.shards(); ++shard) {
        std::uint64_t sequence = 0;
        std::vector<pawl::event> log;
        do {
            log = co_await store.events(shard, sequence, page);
            for (const auto& entry : log)
                if (entry.sequence != ++sequence)
                    faults.push_back(
                        fmt::format("event {} of shard {} is missing", sequence, shard));
        } while (!log.empty());
    }
}

void check_file(const std::string& path, std::vector<std::string>& faults)
{
    sqlite3* opened = nullptr;
    const int code = sqlite3_open(path.c_str(), &opened);
    const std::unique_ptr<sqlite3, int (*)(sqlite3*)> database{opened, sqlite3_close};
    const auto remember = [](void* list, int, char** values, char**) {
        if (std::string{values[0]} != "ok")
            static_cast<std::vector<std::string>*>(list)->emplace_back(values[0]);
        return 0;
    };
    if (code != SQLITE_OK ||
        sqlite3_exec(opened, "PRAGMA integrity_check", remember, &faults, nullptr) != SQLITE_OK)
        faults.push_back(fmt::format("{}: {}", path, sqlite3_errmsg(opened)));
}

} // namespace

std::vector<std::string> faults_of_database(const std::string& path)
{
    std::vector<std::string> faults;
    check_file(path, faults);
    try {
        const auto store = pawl::open_sqlite(path);
        boost::asio::io_context context;
        std::exception_ptr failure;
        boost::asio::co_spawn(context, check_store(*store, faults),
                              [&failure](std::exception_ptr thrown) { failure = thrown; });
        context.run();
        if (failure)
            std::rethrow_exception(failure);
    } catch (const std::exception& problem) {
        faults.emplace_back(problem.what());
    }
    return faults;
}

} // namespace chaos
