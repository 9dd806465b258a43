// Log lines: the text, the particulars as fields, and no way to forge a line.
#include "engine/support.hpp"
#include "pawl/spdlog.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

BOOST_AUTO_TEST_SUITE(log_)

using namespace engine_test;
using enum light;

BOOST_AUTO_TEST_CASE(an_entry_is_its_text_and_its_fields)
{
    pawl::log_entry entry{pawl::log_level::warn, "a handler failed"};
    BOOST_TEST(to_string(entry) == "a handler failed");
    entry.workflow = "orders";
    entry.foreign_id = "order 7";
    entry.run = *pawl::parse_run_id("018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d");
    entry.status = "Created";
    entry.process = "Created-step";
    entry.attempt = 2;
    entry.error = "said \"no\"";
    BOOST_TEST(to_string(entry) ==
               "a handler failed workflow=orders foreign_id=\"order 7\" "
               "run=018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d status=Created process=Created-step "
               "attempt=2 error=\"said \\\"no\\\"\"");
}

BOOST_AUTO_TEST_CASE(what_a_client_sent_forges_no_second_line)
{
    pawl::log_entry entry{pawl::log_level::warn, "two\nlines"};
    entry.foreign_id = "x\nerror: all is lost\x1b[31m";
    const auto line = to_string(entry);
    BOOST_TEST(line == "two\\nlines foreign_id=\"x\\nerror: all is lost\\u001b[31m\"");
}

BOOST_AUTO_TEST_CASE(a_failed_attempt_is_logged_with_its_run)
{
    world w;
    std::vector<std::string> lines;
    w.options.log = [&](const pawl::log_entry& entry) {
        if (entry.level == pawl::log_level::warn)
            lines.push_back(std::string{entry.text} + "|" + std::string{entry.workflow} + "|" +
                            std::string{entry.foreign_id} + "|" + std::string{entry.status} + "|" +
                            std::string{entry.process} + "|" + std::to_string(entry.attempt) + "|" +
                            std::string{entry.error});
    };
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
         run.log(pawl::log_level::warn, "trying");
         throw std::runtime_error("no bulb");
     }).retry({.max_attempts = 1});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{}));
    w.settle();
    const std::vector<std::string> expected{"trying|lamps|a|red||1|",
                                            "a handler failed|lamps|a|red|red-step|1|no bulb"};
    BOOST_TEST(lines == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(lines_go_to_spdlog_with_their_levels)
{
    std::ostringstream text;
    const auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
    logger->set_pattern("%l %v");
    logger->set_level(spdlog::level::info);
    const auto sink = pawl::log_to(logger);
    sink({pawl::log_level::debug, "too fine"});
    sink({pawl::log_level::info, "fine"});
    pawl::log_entry entry{pawl::log_level::error, "broken {}"};
    entry.workflow = "orders";
    sink(entry);
    logger->flush();
    BOOST_TEST(text.str() == "info fine\nerror broken {} workflow=orders\n");
}

BOOST_AUTO_TEST_SUITE_END()
