// How the store's size tells on its speed, and what a transition leaves on the disk.
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/sqlite.hpp"

#include <fmt/format.h>

#include <fstream>
#include <thread>

namespace pawl_bench {

using namespace std::chrono_literals;

namespace {

/// Well before SQLite begins to use its log again from the beginning.
constexpr std::uintmax_t longest_log = 24 * 1024 * 1024;

std::uintmax_t size_of(const std::filesystem::path& file)
{
    std::error_code missing;
    const auto size = std::filesystem::file_size(file, missing);
    return missing ? 0 : size;
}

/// Bytes that this process has written so far, log and checkpoints together.
std::uintmax_t bytes_written()
{
    std::ifstream io{"/proc/self/io"};
    std::uintmax_t value = 0;
    for (std::string name; io >> name >> value;)
        if (name == "wchar:")
            return value;
    return 0;
}

/// Watches the log grow from empty, as long as its length says how much was written to it.
class log_watch {
public:
    log_watch(std::filesystem::path log, const observer& watching)
        : thread_([log = std::move(log), &watching, before = watching.transitions.load(),
                   this](const std::stop_token& stop) {
              while (!stop.stop_requested()) {
                  const auto made = watching.transitions - before;
                  const auto size = size_of(log);
                  if (size > longest_log)
                      return;
                  if (size > 0 && made > 0)
                      bytes_per_transition_ = static_cast<double>(size) / static_cast<double>(made);
                  std::this_thread::sleep_for(1ms);
              }
          })
    {
    }

    double bytes_per_transition()
    {
        thread_.request_stop();
        thread_.join();
        return bytes_per_transition_;
    }

private:
    double bytes_per_transition_ = 0;
    std::jthread thread_; // last: it uses the rest
};

struct point {
    double transitions_per_second = 0;
    double log_bytes = 0;
    double file_bytes = 0;
    double written_bytes = 0;
};

/// Runs for a while on the database as it is; it is closed before and after.
point measure(const scratch_folder& folder, const load& wanted, std::uint64_t& transitions)
{
    point result;
    const auto size_before = size_of(folder.database());
    const auto written_before = bytes_written();
    std::uint64_t made = 0;
    {
        rig engine{pawl::open_sqlite(folder.database())};
        log_watch log{folder.database().string() + "-wal", engine.watching()};
        result.transitions_per_second = drive(engine, wanted).transitions_per_second;
        result.log_bytes = log.bytes_per_transition();
        made = engine.watching().transitions;
    }
    const auto per_transition = [&](std::uintmax_t bytes) {
        return static_cast<double>(bytes) / static_cast<double>(made);
    };
    result.written_bytes = per_transition(bytes_written() - written_before);
    result.file_bytes = per_transition(size_of(folder.database()) - size_before);
    transitions += made;
    return result;
}

} // namespace

void growth(const options& given, report& out)
{
    const auto largest = given.sized(1'000'000, 100'000, 100);
    const scratch_folder folder{given};
    std::uint64_t transitions = 0;
    std::vector<double> rates;
    for (std::size_t stored = largest >= 10'000 ? 10'000 : largest; stored <= largest;
         stored *= 10) {
        while (transitions / transitions_per_run < stored)
            measure(folder,
                    {given.flying(1'000),
                     {},
                     given.smoke        ? pawl::duration{50ms}
                     : stored <= 10'000 ? pawl::duration{100ms}
                                        : pawl::duration{1s}},
                    transitions);
        const auto is_there = transitions / transitions_per_run;
        std::vector<point> points;
        for (int i = 0; i < given.repeats; ++i)
            points.push_back(
                measure(folder, {given.flying(1'000), given.warm_up, given.duration}, transitions));
        const auto add = [&, name = fmt::format("{} stored runs", is_there)](
                             const std::string& what, const std::string& unit,
                             double point::* number) {
            figure each{"growth", fmt::format("{}, {}", name, what), unit};
            for (const auto& one : points)
                each.samples.push_back(one.*number);
            out.add(each);
            return each.value();
        };
        rates.push_back(add("speed", "transitions/s", &point::transitions_per_second));
        add("log a transition", "bytes", &point::log_bytes);
        add("database a transition", "bytes", &point::file_bytes);
        add("written a transition, both", "bytes", &point::written_bytes);
    }
    const auto [slowest, fastest] = std::ranges::minmax(rates);
    figure each{"growth", "fastest over slowest", "times", {fastest / slowest}};
    each.targets = {at_most(1.3)};
    out.add(std::move(each));
}

} // namespace pawl_bench
