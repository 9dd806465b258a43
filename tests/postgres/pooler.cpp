// The store behind PgBouncer, which pools sessions or transactions: the contract of record_store,
// engines at work, a pooler that is restarted, and what it refuses.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/error.hpp"
#include "pawl/testing/store_conformance.hpp"
#include "postgres/pgbouncer.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(postgres_pooler)

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using pawl::errc;

/// How PgBouncer pools, and what the store is told about it.
struct pooling {
    std::string mode;
    std::string settings;
    bool poll_only = false;

    friend std::ostream& operator<<(std::ostream& out, const pooling& shown)
    {
        return out << shown.mode;
    }
};

const pooling sessions{.mode = "session",
                       .settings = "pool_mode = session\ndefault_pool_size = 100"};

/// With fewer sessions than a store has connections, so that they do change.
const pooling transactions{.mode = "transaction",
                           .settings = "pool_mode = transaction\ndefault_pool_size = 3",
                           .poll_only = true};

void add_conformance(const pooling& how)
{
    auto* suite = BOOST_TEST_SUITE("postgres_pooled_by_" + how.mode);
    const auto between = std::make_shared<std::optional<pgbouncer>>();
    const pawl::testing::store_factory make_store = [between, how](std::uint32_t shards) {
        return pawl::open_postgres(
            backend(), between->value().uri(),
            {.schema = fresh_schema(), .shards = shards, .poll_only = how.poll_only});
    };
    for (const auto& check : pawl::testing::store_conformance_checks()) {
        const auto run = [check, make_store, between, how] {
            // Here, because it ends with the thread that begins it.
            if (!*between)
                between->emplace(server(), how.settings);
            check.run(make_store);
        };
        suite->add(boost::unit_test::make_test_case(run, check.name, __FILE__, __LINE__));
    }
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

const bool added = [] {
    add_conformance(sessions);
    add_conformance(transactions);
    return true;
}();

struct parcel {
    std::string packed_by;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (packed_by))

enum class place { shelf = 1, table, door };
BOOST_DESCRIBE_ENUM(place, shelf, table, door)

/// Two engines on one schema and one thread. Of the runs, `open_places` may pass their first step.
class two_engines {
public:
    two_engines(const pgbouncer& between, bool poll_only)
        : a_(*this, "a", between.uri(), poll_only), b_(*this, "b", between.uri(), poll_only)
    {
    }

    /// Begins all runs, lets some of them end, then calls `restart`, stops one engine, and lets the
    /// other one end the rest.
    void drive(const std::function<void()>& restart)
    {
        auto result = asio::co_spawn(io_, scenario(restart), asio::use_future);
        io_.run();
        result.get();
    }

private:
    static constexpr std::size_t run_count = 300;
    static constexpr std::size_t shard_count = 8;

    using clients = pawl::client<parcel, place>;

    struct member {
        member(two_engines& all, std::string called, const std::string& uri, bool poll_only)
            : name(std::move(called)),
              store(pawl::open_postgres(
                  all.io_.get_executor(), uri,
                  {.schema = all.schema_, .shards = shard_count, .poll_only = poll_only})),
              engine(all.io_.get_executor(), {.store = store, .name = name, .log = {}}),
              client(engine.add(all.parcels(*this)))
        {
        }

        const std::string name;
        const std::shared_ptr<pawl::record_store> store;
        std::size_t waiting = 0; ///< handlers that wait for a place
        pawl::engine engine;
        clients client;
    };

    /// Packs a parcel: the tape is used once, then a free place is waited for.
    struct pack_step {
        two_engines* all;
        member* self;

        pawl::step<place::table> operator()(pawl::run<parcel>& run) const
        {
            const auto use_tape = [this, of = run.foreign_id()] {
                ++all->tapes_[of];
            };
            co_await run.once("tape", use_tape);
            ++self->waiting;
            while (all->open_places_ == 0)
                co_await all->news_.async_wait(asio::as_tuple(asio::use_awaitable));
            --self->waiting;
            --all->open_places_;
            run.object().packed_by = self->name;
            co_return pawl::to<place::table>;
        }
    };

    static pawl::step<place::door> carry(pawl::run<parcel>&) { co_return pawl::to<place::door>; }

    pawl::workflow<parcel, place> parcels(member& of)
    {
        pawl::builder<parcel, place> b{"parcels"};
        b.step<place::shelf>(pack_step{this, &of});
        b.step<place::table>(carry);
        b.end<place::door>();
        return std::move(b).build();
    }

    void open_places(std::size_t count)
    {
        open_places_ = count;
        news_.cancel();
    }

    asio::awaitable<std::size_t> shards_of(member& owner)
    {
        const auto found = co_await owner.engine.async_statistics(asio::use_awaitable);
        co_return found.leases.size();
    }

    asio::awaitable<void> wait_for_shares()
    {
        asio::steady_timer timer{io_};
        for (;;) {
            const auto of_a = co_await shards_of(a_);
            const auto of_b = co_await shards_of(b_);
            if (of_a == shard_count / 2 && of_b == shard_count / 2)
                co_return;
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> wait_until_waiting(std::size_t count)
    {
        asio::steady_timer timer{io_};
        while (a_.waiting + b_.waiting != count) {
            timer.expires_after(10ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    asio::awaitable<void> check_end(pawl::run_id run)
    {
        using enum pawl::event_kind;
        const auto end = co_await b_.client.async_await_finished(run, asio::use_awaitable);
        BOOST_TEST(end.state == pawl::run_state::completed);
        const auto history = co_await b_.client.async_history(run, 0, 100, asio::use_awaitable);
        std::vector<pawl::event_kind> kinds;
        for (const auto& each : history)
            kinds.push_back(each.kind);
        BOOST_TEST((kinds == std::vector{started, checkpointed, moved, completed}));
    }

    asio::awaitable<void> scenario(std::function<void()> restart)
    {
        co_await a_.engine.async_start(asio::use_awaitable);
        co_await b_.engine.async_start(asio::use_awaitable);
        co_await wait_for_shares();
        std::vector<pawl::run_id> runs;
        for (std::size_t i = 0; i < run_count; ++i) {
            const auto run = co_await b_.client.async_trigger(fmt::format("parcel-{}", i), parcel{},
                                                              {}, asio::use_awaitable);
            runs.push_back(run);
        }
        co_await wait_until_waiting(run_count);
        BOOST_TEST(a_.waiting > 0u);
        BOOST_TEST(b_.waiting > 0u);
        open_places(run_count / 3);
        co_await wait_until_waiting(run_count - run_count / 3);
        restart();
        co_await a_.engine.async_stop(0s, asio::use_awaitable);
        open_places(run_count);
        for (const auto run : runs)
            co_await check_end(run);
        co_await b_.engine.async_stop(0s, asio::use_awaitable);
        BOOST_TEST(tapes_.size() == run_count);
        for (const auto& [of, times] : tapes_)
            BOOST_TEST(times == 1, of);
    }

    asio::io_context io_{1};
    const std::string schema_ = fresh_schema();
    asio::steady_timer news_{io_, asio::steady_timer::time_point::max()};
    std::size_t open_places_ = 0;
    std::map<std::string, int> tapes_;
    member a_;
    member b_;
};

void expect_refused(const std::string& uri, const pawl::postgres_options& options,
                    std::vector<std::string> words)
{
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), uri, options), pawl::error,
                          fails_with(errc::store_access_denied, std::move(words)));
}

/// What another client of the pooler is told.
std::string ask_through(const pgbouncer& between, const std::string& question)
{
    const std::unique_ptr<PGconn, decltype(&PQfinish)> link{PQconnectdb(between.uri().c_str()),
                                                            &PQfinish};
    const std::unique_ptr<PGresult, decltype(&PQclear)> rows{PQexec(link.get(), question.c_str()),
                                                             &PQclear};
    BOOST_REQUIRE(PQntuples(rows.get()) == 1);
    return PQgetvalue(rows.get(), 0, 0);
}

/// What the session that writes says of its settings.
void expect_settings(const std::string& uri, pawl::postgres_options options,
                     const std::string& expected)
{
    options.schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), uri, options);
    ask(fmt::format("CREATE FUNCTION {0}.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    "RAISE EXCEPTION '% % % %', current_setting('statement_timeout'), "
                    "current_setting('lock_timeout'), current_setting('enable_seqscan'), "
                    "current_setting('transaction_isolation'); END $$; "
                    "CREATE TRIGGER tell BEFORE INSERT ON {0}.runs FOR EACH ROW "
                    "EXECUTE FUNCTION {0}.tell()",
                    options.schema));
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(make_run(1, "order-1"))), pawl::error,
                          fails_with(errc::invalid_argument, {expected}));
}

} // namespace

BOOST_DATA_TEST_CASE(runs_end_across_a_restart_of_the_pooler_and_the_stop_of_an_engine,
                     boost::unit_test::data::make({sessions, transactions}), how)
{
    pgbouncer between{server(), how.settings};
    two_engines both{between, how.poll_only};
    both.drive([&] {
        between.stop();
        between.start();
    });
}

BOOST_DATA_TEST_CASE(a_store_fails_while_its_pooler_is_away_and_works_again_after_that,
                     boost::unit_test::data::make({sessions, transactions}), how)
{
    pgbouncer between{server(), how.settings};
    const auto store = pawl::open_postgres(
        backend(), between.uri(),
        {.schema = fresh_schema(), .reconnect_backoff_initial = 1ms, .poll_only = how.poll_only});
    auto run = make_run(1, "order-1");
    apply_one(*store, store_as(run));
    BOOST_TEST((finish(store->find(run.id)) == run));
    auto next = run;
    ++next.version;
    between.stop();
    BOOST_CHECK_EXCEPTION(finish(store->find(run.id)), pawl::error,
                          fails_with(errc::store_unavailable, {}));
    BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(next)), pawl::error,
                          fails_with(errc::store_unavailable, {}));
    between.start();
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(apply_one(*store, store_as(next)).status == pawl::apply_status::accepted);
    BOOST_TEST((finish(store->find(run.id)) == next));
}

BOOST_AUTO_TEST_CASE(a_session_has_the_settings_of_its_store_also_behind_a_pooler)
{
    const pgbouncer between{server(), sessions.settings};
    const pawl::postgres_options options{.statement_timeout = 12'345ms, .lock_timeout = 678ms};
    expect_settings(between.uri(), options, "12345ms 678ms off read committed");
    expect_settings(server().uri(), options, "12345ms 678ms off read committed");
    expect_settings(server().uri() + "&options=-c%20lock_timeout%3D7s", options,
                    "12345ms 7s off read committed");
}

BOOST_AUTO_TEST_CASE(a_pooler_of_transactions_is_noticed_at_opening)
{
    const pgbouncer between{server(), transactions.settings};
    expect_refused(between.uri(), {.schema = fresh_schema()}, {"poll_only", "pool_mode=session"});
    // What opening has set is not left to other clients.
    BOOST_TEST(ask_through(between, "SHOW statement_timeout") == "0");
    BOOST_TEST(ask_through(between, "SHOW enable_seqscan") == "on");
}

BOOST_AUTO_TEST_CASE(a_pool_with_too_few_sessions_is_suspected)
{
    const pgbouncer between{server(), "pool_mode = session\ndefault_pool_size = 1"};
    const pawl::postgres_options options{.schema = fresh_schema(), .connect_timeout = 1s};
    BOOST_CHECK_EXCEPTION(pawl::open_postgres(backend(), between.uri(), options), pawl::error,
                          fails_with(errc::store_unavailable, {"no answer", "too few sessions"}));
}

BOOST_DATA_TEST_CASE(options_in_the_uri_are_refused_unless_the_pooler_ignores_them,
                     boost::unit_test::data::make({sessions, transactions}), how)
{
    const pawl::postgres_options options{.schema = fresh_schema(), .poll_only = how.poll_only};
    const std::string more = " options='-c lock_timeout=7s'";
    {
        const pgbouncer between{server(), how.settings};
        expect_refused(between.uri() + more, options,
                       {"unsupported startup parameter", "ignore_startup_parameters"});
    }
    const pgbouncer between{server(), how.settings + "\nignore_startup_parameters = options"};
    const auto store = pawl::open_postgres(backend(), between.uri() + more, options);
    const auto run = make_run(1, "order-1");
    BOOST_TEST(apply_one(*store, store_as(run)).status == pawl::apply_status::accepted);
}

BOOST_AUTO_TEST_SUITE_END()
