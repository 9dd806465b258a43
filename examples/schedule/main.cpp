// A report on each working day at nine in Berlin, over a change of the clocks.
#include <pawl/builder.hpp>
#include <pawl/schedule.hpp>
#include <pawl/testing/harness.hpp>

#include <ctime>
#include <iostream>

struct report {
    std::string recipient;
};
BOOST_DESCRIBE_STRUCT(report, (), (recipient))

enum class state { due = 1, sent };
BOOST_DESCRIBE_ENUM(state, due, sent)
using enum state;

pawl::step<sent> send_report(pawl::run<report>& run)
{
    const auto now = std::chrono::system_clock::to_time_t(run.now());
    char text[32];
    std::strftime(text, sizeof text, "%a %d %b %H:%M UTC", std::gmtime(&now));
    std::cout << text << ": a report for " << run.object().recipient << "\n";
    co_return pawl::to<sent>;
}

int main()
{
    pawl::builder<report, state> b{"reports"};
    b.step<due>(send_report);
    b.end<sent>();

    pawl::testing::harness_options options;
    const auto friday = std::chrono::sys_days{std::chrono::year{2024} / 3 / 29};
    options.engine.clock = std::make_shared<pawl::testing::manual_clock>(friday);
    pawl::testing::harness test{std::move(b).build(), options};

    // Set the schedule at each start of the program: setting the same schedule again changes
    // nothing.
    pawl::schedules schedules{test.client()};
    test.wait_for(schedules.async_set("daily-report", {"Ada"},
                                      {.when = "0 9 * * MON-FRI", .zone = "Europe/Berlin"}));
    test.advance(std::chrono::hours{24 * 5});
    for (const auto& schedule : test.wait_for(schedules.async_list()))
        std::cout << schedule.name << " (" << schedule.when << ", " << schedule.zone
                  << ") has fired " << schedule.fired << " times\n";
}
