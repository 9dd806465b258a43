// PostgreSQL beside the same statement over bare libpq, and beside its own benchmark.
#include "cluster.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/forwarding_store.hpp"
#include "pawl/postgres.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace pawl_bench {

namespace {

/// What the store was given.
struct batches {
    std::uint64_t count = 0;
    std::uint64_t transitions = 0;

    double size() const { return static_cast<double>(transitions) / static_cast<double>(count); }
};

class counting_store final : public pawl::forwarding_store {
public:
    counting_store(std::shared_ptr<pawl::record_store> inner, batches& counted)
        : forwarding_store(std::move(inner)), counted_(counted)
    {
    }

    boost::asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        ++counted_.count;
        counted_.transitions +=
            static_cast<std::uint64_t>(std::ranges::count_if(batch, [](const pawl::change& each) {
                return std::holds_alternative<pawl::transition>(each);
            }));
        return inner().apply(batch);
    }

private:
    batches& counted_;
};

/// What the server has done for the database.
struct usage {
    double statements = 0; ///< each is a transaction and a round trip
    double log_bytes = 0;
};

usage usage_of(const scratch_database& database)
{
    const auto numbers =
        database.ask("SELECT xact_commit, pg_current_wal_insert_lsn() - '0/0' FROM "
                     "pg_stat_database WHERE datname = current_database()");
    return {numbers.at(0), numbers.at(1)};
}

struct measured {
    double transitions_per_second = 0;
    double batch = 0;
    double statements = 0; ///< a transition, as is the next
    double log_bytes = 0;
};

measured drive_postgres(const options& given, const load& wanted)
{
    const scratch_folder folder{given};
    const auto& database = folder.postgres();
    measured result;
    batches counted;
    usage before;
    {
        rig_options how;
        how.threads = options::pick(given.threads, 1);
        how.max_active_runs = std::max(how.max_active_runs, wanted.in_flight);
        rig engine{[&](const boost::asio::any_io_executor& executor) {
                       return std::make_shared<counting_store>(
                           pawl::open_postgres(executor, database.uri()), counted);
                   },
                   how};
        before = usage_of(database);
        result.transitions_per_second = drive(engine, wanted).transitions_per_second;
    }
    database.end_sessions();
    const auto after = usage_of(database);
    const auto transitions = static_cast<double>(counted.transitions);
    result.batch = counted.size();
    result.statements = (after.statements - before.statements) / transitions;
    result.log_bytes = (after.log_bytes - before.log_bytes) / transitions;
    return result;
}

double drive_same_statement(const options& given, const load& wanted)
{
    const scratch_folder folder{given};
    return backend_named("postgres").drive_limit(folder, wanted).transitions_per_second;
}

/// Transactions a second of "simple updates": an UPDATE, a SELECT and an INSERT each.
double drive_pgbench(const options& given)
{
    const scratch_database database{given};
    database.pgbench({"--initialize", "--quiet"});
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(given.warm_up + given.duration);
    const auto output =
        given.smoke ? database.pgbench({"-N", "-c", "16", "-t", "2"})
                    : database.pgbench({"-N", "-c", "16", "-T", std::to_string(seconds.count())});
    constexpr std::string_view rate = "\ntps = ";
    const auto at = output.find(rate);
    if (at == output.npos)
        throw std::runtime_error("pgbench does not tell its rate: " + output);
    return std::stod(output.substr(at + rate.size()));
}

} // namespace

void postgres_in_flight(const options& given, report& out)
{
    load wanted{given.flying(1'000), given.warm_up, given.duration};
    const auto named = [&](const std::string& what, const std::string& unit) {
        return figure{"postgres", fmt::format("{} in flight{}", wanted.in_flight, what), unit};
    };
    auto rate = named("", "transitions/s");
    rate.limit = "the same statement over libpq";
    rate.targets = {at_least(25'000)};
    auto beside = named(", beside pgbench", "transitions/s");
    beside.limit = "pgbench -N -c 16, transactions/s";
    beside.targets = {ratio_at_least(5)};
    auto batch = named(", a batch", "transitions");
    auto statements = named(", round trips a transition", "statements");
    auto log = named(", log a transition", "bytes");
    for (int i = 0; i < given.repeats; ++i) {
        const auto reached = drive_postgres(given, wanted);
        rate.samples.push_back(reached.transitions_per_second);
        batch.samples.push_back(reached.batch);
        statements.samples.push_back(reached.statements);
        log.samples.push_back(reached.log_bytes);
        if (given.no_limits)
            continue;
        wanted.batch = static_cast<std::size_t>(std::ceil(reached.batch));
        rate.limit_samples.push_back(drive_same_statement(given, wanted));
        beside.samples.push_back(reached.transitions_per_second);
        beside.limit_samples.push_back(drive_pgbench(given));
    }
    for (auto* each : {&rate, &beside, &batch, &statements, &log})
        if (!each->samples.empty())
            out.add(std::move(*each));
}

} // namespace pawl_bench
