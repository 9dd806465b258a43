// Runs that are looked up at the same time: each caller gets its own, whoever else asks.
#include "pawl/error.hpp"
#include "postgres/support.hpp"
#include "printing.hpp"
#include "sqlite/support.hpp"

#include <boost/test/unit_test.hpp>

#include <fmt/format.h>

#include <future>

BOOST_AUTO_TEST_SUITE(postgres_finder)

namespace {

using pawl::errc;

constexpr std::uint8_t all_runs = 200;

using answers = std::vector<std::future<std::optional<pawl::record>>>;

/// Asks for the runs 1 to all_runs and one that there is not, all at once.
answers find_all(pawl::record_store& store)
{
    boost::asio::io_context context;
    answers found;
    for (std::uint8_t i = 1; i <= all_runs + 1; ++i)
        found.push_back(boost::asio::co_spawn(context, store.find(make_run(i, "").id),
                                              boost::asio::use_future));
    context.run();
    return found;
}

std::vector<pawl::record> stored_runs(pawl::record_store& store)
{
    std::vector<pawl::record> runs;
    std::vector<pawl::change> batch;
    for (std::uint8_t i = 1; i <= all_runs; ++i) {
        runs.push_back(make_run(i, fmt::format("order-{}", i)));
        batch.emplace_back(store_as(runs.back()));
    }
    for (const auto& result : finish(store.apply(batch)))
        BOOST_TEST_REQUIRE(result.status == pawl::apply_status::accepted);
    return runs;
}

} // namespace

BOOST_AUTO_TEST_CASE(each_caller_gets_its_own_run)
{
    const auto store = open_fresh();
    const auto runs = stored_runs(*store);
    auto found = find_all(*store);
    for (std::size_t i = 0; i < runs.size(); ++i)
        BOOST_TEST((found[i].get() == runs[i]));
    BOOST_TEST(!found.back().get().has_value());
}

BOOST_AUTO_TEST_CASE(a_run_that_cannot_be_read_fails_nobody_elses_look_up)
{
    const auto schema = fresh_schema();
    const auto store = pawl::open_postgres(backend(), server().uri(), {.schema = schema});
    const auto runs = stored_runs(*store);
    ask(fmt::format("UPDATE {}.runs SET details = '\\xff' WHERE foreign_id = 'order-7'", schema));
    auto found = find_all(*store);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (runs[i].foreign_id == "order-7")
            BOOST_CHECK_EXCEPTION(found[i].get(), pawl::error, fails_with(errc::store_corrupt, {}));
        else
            BOOST_TEST((found[i].get() == runs[i]));
    }
}

BOOST_AUTO_TEST_SUITE_END()
