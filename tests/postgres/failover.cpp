// A primary with two standbys that fails under two engines, and one of the standbys takes over.
// PAWL_FAILOVER_ROUNDS says how often each case is run; once by default.
#include "postgres/cluster.hpp"
#include "printing.hpp"

#include <cstdlib>

BOOST_AUTO_TEST_SUITE(postgres_failover)

using namespace postgres_test;

namespace {

int rounds()
{
    const char* wanted = std::getenv("PAWL_FAILOVER_ROUNDS");
    return wanted ? std::atoi(wanted) : 1;
}

class replicated {
public:
    explicit replicated(bool synchronous)
    {
        if (!synchronous)
            return;
        ask("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 (one, two)'");
        ask("SELECT pg_reload_conf()");
        ask("SELECT 1"); // of a session that knows it
    }

    std::string uri() const
    {
        return fmt::format("host={},{},{} port={},{},{} user=postgres dbname=postgres "
                           "connect_timeout=1",
                           primary.folder(), one.folder(), two.folder(), primary.port(), one.port(),
                           two.port());
    }

    /// Of the primary.
    std::string ask(const std::string& sql) const
    {
        const std::unique_ptr<PGconn, decltype(&PQfinish)> link{PQconnectdb(primary.uri().c_str()),
                                                                &PQfinish};
        const std::unique_ptr<PGresult, decltype(&PQclear)> answer{PQexec(link.get(), sql.c_str()),
                                                                   &PQclear};
        BOOST_REQUIRE_MESSAGE(PQresultStatus(answer.get()) == PGRES_TUPLES_OK ||
                                  PQresultStatus(answer.get()) == PGRES_COMMAND_OK,
                              PQerrorMessage(link.get()));
        return PQntuples(answer.get()) == 0 ? "" : PQgetvalue(answer.get(), 0, 0);
    }

    /// From now on the standbys hear of nothing.
    void cut_standbys_off()
    {
        one.freeze();
        two.freeze();
        ask("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_replication");
    }

    void take_over()
    {
        one.thaw();
        two.thaw();
        one.promote();
    }

    postgres_server primary{{"wal_level=replica", "max_wal_senders=5", "max_connections=100"}};
    postgres_server one{primary, "one"};
    postgres_server two{primary, "two"};
};

/// The runs that were accepted, by foreign id.
using accepted_runs = std::map<std::string, pawl::run_id>;

/// One after another until `enough`; a trigger that fails may have been stored or not.
accepted_runs trigger_until(member& by, const std::string& prefix,
                            const std::function<bool(std::size_t)>& enough)
{
    accepted_runs accepted;
    const auto end = std::chrono::steady_clock::now() + patience;
    for (int i = 0; !enough(accepted.size()); ++i) {
        if (std::chrono::steady_clock::now() >= end) // beside other threads: no check of Boost.Test
            throw std::runtime_error("too few runs were accepted in time");
        const auto id = fmt::format("{}-{}", prefix, i);
        const auto [failure, run] = by.finish(
            by.client->async_trigger(id, parcel{}, {}, asio::as_tuple(asio::use_awaitable)));
        if (!failure)
            accepted.emplace(id, run);
    }
    return accepted;
}

accepted_runs trigger(member& by, const std::string& prefix, std::size_t count)
{
    return trigger_until(by, prefix, [count](std::size_t accepted) { return accepted == count; });
}

/// Waits for the end of the run; empty when the store does not know it. It may be out of reach.
std::optional<pawl::snapshot<parcel, place>> end_of(member& by, pawl::run_id run)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        BOOST_REQUIRE(std::chrono::steady_clock::now() < end);
        auto [failure, last] =
            by.finish(by.client->async_await_finished(run, asio::as_tuple(asio::use_awaitable)));
        if (!failure)
            return last;
        if (failure == pawl::errc::not_found)
            return std::nullopt;
    }
}

void check_all_end(cluster& all, member& by, const accepted_runs& runs)
{
    for (const auto& [id, run] : runs) {
        const auto last = end_of(by, run);
        BOOST_TEST_REQUIRE(last.has_value(), id);
        BOOST_TEST(last->state == pawl::run_state::completed, id);
        all.check_history(by, run);
    }
    all.wait_until([&] {
        const auto ended = all.ended.all();
        return std::ranges::all_of(runs,
                                   [&](const auto& each) { return ended.contains(each.first); });
    });
}

/// What was accepted before, during and after a failover without loss ends as it must.
void check_synchronous(const std::function<void(replicated&)>& fail)
{
    for (int round = 0; round < rounds(); ++round) {
        replicated servers{true};
        cluster all;
        all.statement_timeout = 1s;
        auto& a = all.start("a", servers.uri());
        auto& b = all.start("b", servers.uri());
        all.wait_for_shares(a, b);
        auto runs = trigger(a, "before", 20);
        std::atomic<bool> is_over{false};
        auto during = std::async(std::launch::async, [&] {
            return trigger_until(b, "during", [&](std::size_t) { return is_over.load(); });
        });
        fail(servers);
        servers.take_over();
        runs.merge(trigger(a, "after", 20));
        is_over = true;
        runs.merge(during.get());
        check_all_end(all, b, runs);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(a_primary_that_is_killed_loses_nothing_that_a_standby_has)
{
    check_synchronous([](replicated& servers) { servers.primary.stop_at_once(); });
}

BOOST_AUTO_TEST_CASE(a_primary_that_hangs_loses_nothing_that_a_standby_has)
{
    check_synchronous([](replicated& servers) { servers.primary.freeze(); });
}

BOOST_AUTO_TEST_CASE(commits_that_no_standby_has_are_lost_and_nothing_else)
{
    for (int round = 0; round < rounds(); ++round) {
        replicated servers{false};
        cluster all;
        all.lease = 60s; // they do not lapse meanwhile
        auto& a = all.start("a", servers.uri());
        auto& b = all.start("b", servers.uri());
        all.wait_for_shares(a, b);
        const auto before = trigger(a, "before", 20);
        check_all_end(all, b, before);
        // The standbys have it all.
        const auto end = servers.ask("SELECT pg_current_wal_lsn()");
        all.wait_until([&] {
            return servers.ask("SELECT bool_and(flush_lsn >= '" + end +
                               "') FROM pg_stat_replication") == "t";
        });
        servers.cut_standbys_off();
        const auto lost = trigger(a, "lost", 40);
        check_all_end(all, b, lost);
        servers.primary.stop_at_once();
        servers.take_over();

        check_all_end(all, b, trigger(a, "after", 60));
        check_all_end(all, a, before);
        std::size_t missing = 0;
        for (const auto& [id, run] : lost)
            missing += end_of(b, run) ? 0 : 1;
        BOOST_TEST(missing == lost.size());
    }
}

BOOST_AUTO_TEST_CASE(an_old_primary_that_comes_back_as_a_standby_is_left)
{
    const auto socket_of = [](const postgres_server& server) {
        return fmt::format("{}/.s.PGSQL.{}", server.folder(), server.port());
    };
    for (int round = 0; round < rounds(); ++round) {
        replicated servers{true};
        proxy address{socket_of(servers.primary)}; // one for whichever server is the primary
        cluster all;
        auto& a = all.start("a", fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres "
                                             "gssencmode=disable connect_timeout=1",
                                             address.port()));
        auto runs = trigger(a, "before", 20);
        servers.primary.stop_at_once();
        servers.take_over();
        servers.primary.become_standby(servers.one, "old");

        // The address leads to the old primary still.
        all.wait_until([&] {
            const auto [failure, run] = a.finish(a.client->async_trigger(
                "too early", parcel{}, {}, asio::as_tuple(asio::use_awaitable)));
            return failure == pawl::errc::store_read_only;
        });
        address.lead_to(socket_of(servers.one));
        runs.merge(trigger(a, "after", 20));
        check_all_end(all, a, runs);
        const auto [failure, run] =
            a.finish(a.client->async_find_latest("too early", asio::as_tuple(asio::use_awaitable)));
        BOOST_TEST(!failure);
        BOOST_TEST(!run);
    }
}

BOOST_AUTO_TEST_SUITE_END()
