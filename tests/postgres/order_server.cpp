// The program order_server on PostgreSQL: its demonstration, and how it says what is wrong.
#include "order_processing/child.hpp"
#include "postgres/server.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(order_server_postgres)

using order_processing::testing::child;

namespace {

const std::string order_program = ORDER_SERVER;

} // namespace

BOOST_AUTO_TEST_CASE(the_demonstration_runs_on_it)
{
    const postgres_server server;
    const temporary_folder folder;
    child demo{order_program,
               {"--db", server.uri("postgres"), "--services-db", folder.file("ledger")}};
    BOOST_TEST(demo.wait() == 0, demo.errors);
    BOOST_TEST(demo.output.find("order server listening on http://127.0.0.1:") !=
               std::string::npos);

    child wrong{order_program,
                {"--db", server.uri("no_such_database"), "--services-db", folder.file("other")}};
    BOOST_TEST(wrong.wait() == 1);
    BOOST_TEST(wrong.errors.find("database \"no_such_database\" does not exist") !=
                   std::string::npos,
               wrong.errors);
}

BOOST_AUTO_TEST_SUITE_END()
