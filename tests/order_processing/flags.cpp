// Flags: both spellings, the environment below them, and a sentence that names what is wrong.
#include "flags.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

using order_processing::flag_error;
using order_processing::flag_set;
using namespace std::chrono_literals;

namespace {

struct fixture {
    std::string db = "orders.db";
    std::uint16_t port = 0;
    int threads = 2;
    pawl::duration backoff = 10s;
    bool serve = false;
    std::map<std::string, std::string> variables;
    flag_set flags{"order_server: takes orders.", "PAWL_TEST_"};

    fixture()
    {
        flags.text("db", db, "FILE", "Where orders are kept.");
        flags.number("payment-port", port, "The port to listen on.");
        flags.number("threads", threads, "Threads.", 1, 64);
        flags.time_span("backoff", backoff, "Between two tries.");
        flags.toggle("serve", serve, "Only serve.");
    }

    bool parse(const std::vector<std::string>& arguments)
    {
        return flags.parse(arguments, [this](const std::string& name) {
            const auto found = variables.find(name);
            return found == variables.end() ? std::nullopt : std::optional{found->second};
        });
    }

    void refuses(const std::vector<std::string>& arguments, const std::vector<std::string>& words)
    {
        BOOST_CHECK_EXCEPTION(parse(arguments), flag_error, [&](const flag_error& error) {
            const std::string what = error.what();
            for (const auto& word : words)
                BOOST_TEST(what.find(word) != std::string::npos, what << " lacks " << word);
            return true;
        });
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(flags, fixture)

BOOST_AUTO_TEST_CASE(both_spellings_and_the_last_of_a_repeated_flag)
{
    BOOST_TEST(parse({"--db", "a=b.db", "--payment-port=8081", "--threads=3", "--threads", "4",
                      "--backoff", "250ms", "--serve"}));
    BOOST_TEST(db == "a=b.db");
    BOOST_TEST(port == 8081);
    BOOST_TEST(threads == 4);
    BOOST_TEST((backoff == 250ms));
    BOOST_TEST(serve);
}

BOOST_AUTO_TEST_CASE(nothing_given_leaves_the_defaults)
{
    BOOST_TEST(parse({}));
    BOOST_TEST(db == "orders.db");
    BOOST_TEST(threads == 2);
    BOOST_TEST((backoff == 10s));
    BOOST_TEST(!serve);
}

BOOST_AUTO_TEST_CASE(the_environment_is_below_the_flags)
{
    variables = {
        {"PAWL_TEST_DB", "env.db"}, {"PAWL_TEST_PAYMENT_PORT", "99"}, {"PAWL_TEST_SERVE", "1"}};
    BOOST_TEST(parse({"--db=flag.db"}));
    BOOST_TEST(db == "flag.db");
    BOOST_TEST(port == 99);
    BOOST_TEST(serve);
}

BOOST_AUTO_TEST_CASE(an_error_names_the_flag_or_the_variable)
{
    refuses({"--prot", "1"}, {"Unknown", "--prot"});
    refuses({"--prot=1"}, {"Unknown", "--prot"});
    refuses({"orders.db"}, {"orders.db", "not a flag"});
    refuses({"--payment-port"}, {"--payment-port", "needs a value"});
    refuses({"--db", "--serve"}, {"--db", "needs a value"});
    refuses({"--db="}, {"--db", "empty"});
    refuses({"--serve=true"}, {"--serve", "no value"});
    variables = {{"PAWL_TEST_THREADS", "many"}};
    refuses({}, {"PAWL_TEST_THREADS", "many", "1 to 64"});
}

BOOST_AUTO_TEST_CASE(a_value_may_be_left_out_where_that_has_a_meaning)
{
    std::string demo;
    flags.optional_text("demo", demo, "all", "SERVICES", "What to pretend.");
    BOOST_TEST(parse({"--demo", "--serve"}));
    BOOST_TEST(demo == "all");
    BOOST_TEST(parse({"--demo=payment"}));
    BOOST_TEST(demo == "payment");
    variables = {{"PAWL_TEST_DEMO", "shipping"}};
    BOOST_TEST(parse({}));
    BOOST_TEST(demo == "shipping");
    BOOST_TEST(flags.help().find("--demo[=SERVICES]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(secret_comes_from_the_environment_only)
{
    std::string secret;
    flags.secret("token", secret, "The token.");
    refuses({"--token", "abc"}, {"--token", "PAWL_TEST_TOKEN"});
    refuses({"--token=abc"}, {"--token", "PAWL_TEST_TOKEN"});
    variables = {{"PAWL_TEST_TOKEN", "abc"}};
    BOOST_TEST(parse({}));
    BOOST_TEST(secret == "abc");
    BOOST_TEST(flags.help().find("  PAWL_TEST_TOKEN ") != std::string::npos);
    BOOST_TEST(flags.help().find("--token") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_misspelt_variable_is_found)
{
    const std::vector<std::string> wrong{"PAWL_TEST_BD"};
    BOOST_TEST(flags.unknown_variables({"PAWL_TEST_DB", "HOME", "PAWL_TEST_BD", "PAWL_X"}) == wrong,
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(numbers_keep_to_their_range)
{
    for (const char* value : {"65536", "-1", "80a", "0x50", " 80", "99999999999999999999"})
        refuses({"--payment-port", value}, {"--payment-port", "0 to 65535", value});
    refuses({"--threads=0"}, {"--threads", "1 to 64"});
    refuses({"--threads=65"}, {"--threads", "1 to 64"});
}

BOOST_AUTO_TEST_CASE(times_need_a_unit)
{
    BOOST_TEST(parse({"--backoff=2min"}));
    BOOST_TEST((backoff == 2min));
    BOOST_TEST(parse({"--backoff=0s"}));
    BOOST_TEST((backoff == 0s));
    for (const char* value : {"5", "s", "-5s", "1.5s", "5 s", "9999999999999h"})
        refuses({"--backoff", value}, {"--backoff", "5s"});
}

BOOST_AUTO_TEST_CASE(help_wins_over_everything_and_lists_all)
{
    BOOST_TEST(!parse({"--unknown", "--help"}));
    BOOST_TEST(!parse({"-h"}));
    const auto text = flags.help();
    for (const char* word :
         {"order_server: takes orders.", "--db FILE", "orders.db", "--payment-port N",
          "--backoff TIME", "10s", "--serve", "--help", "PAWL_TEST_PAYMENT_PORT"})
        BOOST_TEST(text.find(word) != std::string::npos, word);
}

BOOST_AUTO_TEST_CASE(a_flag_is_declared_once)
{
    BOOST_CHECK_THROW(flags.toggle("db", serve, "Again."), std::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
