// Each embedded backend against the contract of record_store: one test case a check and backend.
#include "pawl/forwarding_store.hpp"
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

std::shared_ptr<pawl::record_store> make_memory_shared(std::uint32_t shards)
{
    return pawl::open_memory({.shards = shards, .shared = true});
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

/// The memory store, with changes that come alone applied in place, and runs read there.
class in_place_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    boost::asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        if (batch.size() != 1)
            return forwarding_store::apply(batch);
        return apply_in_place(batch.front());
    }

    boost::asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        co_return inner().try_find(id);
    }

private:
    boost::asio::awaitable<std::vector<pawl::apply_result>> apply_in_place(const pawl::change& only)
    {
        std::vector<pawl::apply_result> results;
        results.push_back(inner().try_apply(only).value());
        co_return results;
    }
};

std::shared_ptr<pawl::record_store> make_memory_in_place(std::uint32_t shards)
{
    return std::make_shared<in_place_store>(make_memory(shards));
}

void add_backend(const std::string& name, pawl::testing::store_factory make_store)
{
    auto* suite = BOOST_TEST_SUITE(name);
    for (const auto& check : pawl::testing::store_conformance_checks())
        suite->add(boost::unit_test::make_test_case([check, make_store] { check.run(make_store); },
                                                    check.name, __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

std::shared_ptr<pawl::record_store> reopen_sqlite(std::uint32_t shards, bool again)
{
    static const temporary_folder folder;
    static int made = 0;
    made += again ? 0 : 1;
    return pawl::open_sqlite(folder.file(std::to_string(made) + ".db"), {.shards = shards});
}

void add_reopened(const std::string& name, pawl::testing::reopening_factory open)
{
    auto* suite = BOOST_TEST_SUITE(name);
    for (const auto& check : pawl::testing::store_reopen_checks())
        suite->add(boost::unit_test::make_test_case([check, open] { check.run(open); }, check.name,
                                                    __FILE__, __LINE__));
    boost::unit_test::framework::current_auto_test_suite().add(suite);
}

const bool added = [] {
    add_backend("memory", make_memory);
    add_backend("memory_in_place", make_memory_in_place);
    add_backend("memory_shared", make_memory_shared);
    add_backend("sqlite", make_sqlite);
    add_backend("sqlite_in_memory", make_sqlite_in_memory);
    add_reopened("sqlite_reopened", reopen_sqlite);
    return true;
}();

} // namespace
