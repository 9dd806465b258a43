// PostgreSQL against the contracts of record_store and, by its leases, of role_scheduler: one test
// case a check, each in a schema of its own.
#include "conformance/role_fixture.hpp"
#include "pawl/testing/store_conformance.hpp"
#include "postgres/consistency.hpp"
#include "postgres/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace {

void add_backend(const std::string& name, bool poll_only)
{
    auto* suite = BOOST_TEST_SUITE(name);
    const auto run = [poll_only](const pawl::testing::conformance_check& check) {
        std::vector<std::string> schemas;
        check.run([&](std::uint32_t shards) {
            return pawl::open_postgres(backend(), server().uri(),
                                       {.schema = schemas.emplace_back(fresh_schema()),
                                        .shards = shards,
                                        .poll_only = poll_only});
        });
        session admin;
        for (const auto& schema : schemas)
            BOOST_TEST(fmt::format("{}", broken_rules(admin, schema)) == "{}");
    };
    for (const auto& check : pawl::testing::store_conformance_checks())
        suite->add(boost::unit_test::make_test_case([check, run] { run(check); }, check.name,
                                                    __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

/// A store whose time, by which leases lapse, is what the check says.
role_test::stage_store in_postgres(const std::shared_ptr<role_test::manual_clock>& clock)
{
    const auto schema = fresh_schema();
    role_test::stage_store made;
    made.store = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    const auto admin = std::make_shared<session>();
    admin->ask(fmt::format(
        "CREATE TABLE {0}.test_time AS SELECT {1}::bigint AS now;"
        "CREATE OR REPLACE FUNCTION {0}.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS "
        "'SELECT now FROM {0}.test_time'",
        schema, clock->now().time_since_epoch().count()));
    made.pass = [admin, schema](pawl::duration span) {
        admin->ask(fmt::format("UPDATE {}.test_time SET now = now + {}", schema, span.count()));
    };
    return made;
}

const bool added = [] {
    add_backend("postgres", false);
    add_backend("postgres_poll_only", true);
    role_test::add_suite("postgres_roles", in_postgres);
    return true;
}();

} // namespace
