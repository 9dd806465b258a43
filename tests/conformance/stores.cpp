// Each embedded backend against the contract of record_store: one test case a check and backend.
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"
#include "pawl/testing/store_conformance.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

namespace {

std::shared_ptr<pawl::record_store> make_memory(std::uint32_t shards)
{
    return pawl::open_memory({.shards = shards});
}

std::shared_ptr<pawl::record_store> make_sqlite(std::uint32_t shards)
{
    static const temporary_folder folder;
    static int made = 0;
    return pawl::open_sqlite(folder.file(std::to_string(++made) + ".db"), {.shards = shards});
}

std::shared_ptr<pawl::record_store> make_sqlite_in_memory(std::uint32_t shards)
{
    return pawl::open_sqlite(":memory:", {.shards = shards});
}

void add_backend(const std::string& name, pawl::testing::store_factory make_store)
{
    auto* suite = BOOST_TEST_SUITE(name);
    for (const auto& check : pawl::testing::store_conformance_checks())
        suite->add(boost::unit_test::make_test_case([check, make_store] { check.run(make_store); },
                                                    check.name, __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

const bool added = [] {
    add_backend("memory", make_memory);
    add_backend("sqlite", make_sqlite);
    add_backend("sqlite_in_memory", make_sqlite_in_memory);
    return true;
}();

} // namespace
