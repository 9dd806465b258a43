#include "cluster.hpp"

#include "order_processing/child.hpp"
#include "postgres/server.hpp"

#include <fmt/format.h>

#include <libpq-fe.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>

namespace pawl_bench {

namespace {

constexpr auto database_name = "bench";

bool is_taken = false; ///< there is a scratch_database

/// What a new installation has, in place of what the tests use.
std::vector<std::string> cluster_settings(const options& given)
{
    std::vector<std::string> settings{"fsync=on", "full_page_writes=on", "wal_level=replica",
                                      "max_wal_senders=10", "shared_buffers=128MB"};
    for (const auto& each : std::views::split(given.postgres, ','))
        if (!each.empty())
            settings.emplace_back(each.begin(), each.end());
    return settings;
}

std::optional<postgres_server>& running()
{
    static std::optional<postgres_server> only;
    return only;
}

std::vector<double> ask_at(const std::string& uri, const std::string& sql)
{
    const std::unique_ptr<PGconn, decltype(&PQfinish)> link{PQconnectdb(uri.c_str()), &PQfinish};
    PQsetNoticeReceiver(link.get(), [](void*, const PGresult*) {}, nullptr);
    const std::unique_ptr<PGresult, decltype(&PQclear)> rows{PQexec(link.get(), sql.c_str()),
                                                             &PQclear};
    const auto status = PQresultStatus(rows.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw std::runtime_error(fmt::format("{}: {}", sql, PQerrorMessage(link.get())));
    std::vector<double> numbers;
    for (int i = 0; PQntuples(rows.get()) > 0 && i < PQnfields(rows.get()); ++i)
        numbers.push_back(PQgetisnull(rows.get(), 0, i) ? 0
                                                        : std::stod(PQgetvalue(rows.get(), 0, i)));
    return numbers;
}

} // namespace

bool has_cluster()
{
    return postgres_server::is_installed();
}

scratch_database::scratch_database(const options& given)
{
    if (!running()) {
        running().emplace(cluster_settings(given), std::filesystem::absolute(given.folder));
        ask_at(running()->uri(), fmt::format("CREATE DATABASE {}", database_name));
    }
    if (std::exchange(is_taken, true))
        throw std::logic_error("the database of the benchmark is in use");
    end_sessions();
    ask("DROP SCHEMA IF EXISTS pawl CASCADE");
    ask("DROP TABLE IF EXISTS pgbench_accounts, pgbench_branches, pgbench_history, "
        "pgbench_tellers");
    // So that nothing that is measured in it pays for what came before.
    ask("CHECKPOINT");
}

scratch_database::~scratch_database()
{
    is_taken = false;
}

std::string scratch_database::uri() const
{
    return running()->uri(database_name);
}

std::vector<double> scratch_database::ask(const std::string& sql) const
{
    return ask_at(uri(), sql);
}

void scratch_database::end_sessions() const
{
    ask_at(running()->uri(), fmt::format("SELECT count(pg_terminate_backend(pid, 10000)) FROM "
                                         "pg_stat_activity WHERE datname = '{}' AND backend_type = "
                                         "'client backend'",
                                         database_name));
}

std::string scratch_database::pgbench(const std::vector<std::string>& arguments) const
{
    auto all = arguments;
    all.push_back(uri());
    order_processing::testing::child program{postgres_server::program("pgbench"), all};
    if (const int status = program.wait(); status != 0)
        throw std::runtime_error(fmt::format("pgbench ended with {}: {}", status, program.errors));
    return program.output;
}

} // namespace pawl_bench
