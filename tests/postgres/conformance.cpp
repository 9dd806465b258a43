// PostgreSQL against the contract of record_store: one test case a check, each in a schema of its
// own.
#include "pawl/testing/store_conformance.hpp"
#include "postgres/support.hpp"

#include <boost/test/unit_test.hpp>

namespace {

void add_backend(const std::string& name, bool poll_only)
{
    auto* suite = BOOST_TEST_SUITE(name);
    const pawl::testing::store_factory make_store = [poll_only](std::uint32_t shards) {
        return open_fresh({.shards = shards, .poll_only = poll_only});
    };
    for (const auto& check : pawl::testing::store_conformance_checks())
        suite->add(boost::unit_test::make_test_case([check, make_store] { check.run(make_store); },
                                                    check.name, __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

const bool added = [] {
    add_backend("postgres", false);
    add_backend("postgres_poll_only", true);
    return true;
}();

} // namespace
