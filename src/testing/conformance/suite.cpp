#include "pawl/testing/store_conformance.hpp"

#include "testing/conformance/fixture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>

namespace pawl::testing {

namespace {

void run_check(const check_entry& check, const store_factory& make_store)
{
    fixture test{make_store(check.shards), check.shards};
    boost::asio::io_context context;
    std::exception_ptr thrown;
    bool done = false;
    boost::asio::co_spawn(context, check.body(test), [&](std::exception_ptr problem) {
        thrown = problem;
        done = true;
    });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "the context ran out of work before a call of the store completed");
}

} // namespace

std::vector<conformance_check> store_conformance_checks()
{
    std::vector<conformance_check> checks;
    for (const auto group :
         {record_checks(), start_checks(), change_checks(), event_checks(), lease_checks(),
          due_checks(), list_checks(), inbox_checks(), settlement_checks(), removal_checks(),
          child_checks(), topic_checks(), size_checks(), attribute_checks()})
        for (const check_entry& check : group)
            checks.push_back({std::string{check.name}, [&check](const store_factory& make_store) {
                                  run_check(check, make_store);
                              }});
    for (auto& check : concurrency_checks())
        checks.push_back(std::move(check));
    return checks;
}

} // namespace pawl::testing
