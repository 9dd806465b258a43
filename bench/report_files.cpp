// The report for machines and as a picture.
#include "report.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

namespace pawl_bench {

namespace json = boost::json;

namespace {

std::string processor()
{
    std::ifstream info{"/proc/cpuinfo"};
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(':') + 2);
    return {};
}

#ifdef PAWL_BENCH_ALLOCATOR
constexpr const char* allocator = PAWL_BENCH_ALLOCATOR;
#else
constexpr const char* allocator = "the C library's allocator";
#endif

/// The machine's load average over the last minute, this program included.
double load_average()
{
    double load = 0;
    std::ifstream{"/proc/loadavg"} >> load;
    return load;
}

std::string now_in_utc()
{
    return fmt::format("{:%FT%TZ}", std::chrono::time_point_cast<std::chrono::seconds>(
                                        std::chrono::system_clock::now()));
}

std::string verdicts_of(const figure& measured)
{
    std::string text;
    for (const auto& each : measured.targets)
        text += fmt::format("{}{}{} {} {}", text.empty() ? "" : "; ",
                            each.of == target::subject::ratio ? "ratio " : "",
                            each.is == target::bound::at_least ? "≥" : "≤", shown(each.number),
                            measured.reaches(each) ? "met" : "**missed**");
    if (!text.empty() && !measured.is_steady())
        text += " (unsteady)";
    return text;
}

json::object document_of(const figure& measured)
{
    json::object out{{"scenario", measured.scenario},
                     {"what", measured.what},
                     {"unit", measured.unit},
                     {"median", measured.value()},
                     {"steady", measured.is_steady()},
                     {"samples", json::array(measured.samples.begin(), measured.samples.end())}};
    if (const auto spread = measured.spread())
        out["spread"] = *spread;
    if (const auto limit = measured.limit_value()) {
        out["limit"] = measured.limit;
        out["limit_samples"] =
            json::array(measured.limit_samples.begin(), measured.limit_samples.end());
        out["limit_median"] = *limit;
        out["ratio"] = *measured.ratio();
    }
    json::array targets;
    for (const auto& each : measured.targets)
        targets.push_back(
            json::object{{"of", each.of == target::subject::value ? "median" : "ratio"},
                         {"bound", each.is == target::bound::at_least ? "at least" : "at most"},
                         {"number", each.number},
                         {"met", measured.reaches(each)}});
    if (!targets.empty())
        out["targets"] = std::move(targets);
    return out;
}

} // namespace

void report::write_json(const std::string& file, const std::string& label) const
{
    json::array all;
    for (const auto& each : figures_)
        all.push_back(document_of(each));
    const json::object document{
        {"at", now_in_utc()},       {"label", label},
        {"processor", processor()}, {"processors", std::thread::hardware_concurrency()},
        {"allocator", allocator},   {"load_average_at_end", load_average()},
        {"figures", std::move(all)}};
    std::ofstream out{file};
    out << json::serialize(document) << '\n';
    if (!out.flush())
        throw std::runtime_error(file + " cannot be written");
}

void report::write_table(const std::string& file, const std::string& label) const
{
    std::ofstream out{file};
    out << fmt::format("Commit {}, {}; {} processors ({}), {}, load average at the end {}.\n\n"
                       "![transitions per second over runs in flight](chart.svg)\n\n"
                       "| scenario | | median | spread | baseline | ratio | target |\n"
                       "|---|---|---|---|---|---|---|\n",
                       label, now_in_utc(), std::thread::hardware_concurrency(), processor(),
                       allocator, load_average());
    for (const auto& each : figures_) {
        const auto spread = each.spread();
        const auto limit = each.limit_value();
        out << fmt::format("| `{}` | {} | {} {} | {} | {} | {} | {} |\n", each.scenario, each.what,
                           shown(each.value()), each.unit,
                           spread ? fmt::format("{:.0f} %", *spread * 100) : "-",
                           limit ? fmt::format("{} ({})", shown(*limit), each.limit) : "",
                           limit ? shown(*each.ratio()) : "", verdicts_of(each));
    }
    if (!out.flush())
        throw std::runtime_error(file + " cannot be written");
}

void report::draw(const std::string& svg_file) const
{
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> plot{::popen("gnuplot", "w"), ::pclose};
    if (!plot)
        throw std::runtime_error("gnuplot cannot be run");
    auto script = fmt::format("set terminal svg size 760,420 font 'sans,13' background 'white'\n"
                              "set output '{}'\n"
                              "set logscale xy\nset grid\nset key left top\n"
                              "set format x '%.0s%c'\nset format y '%.0s%c'\n"
                              "set xlabel 'runs in flight'\nset ylabel 'transitions per second'\n",
                              svg_file);
    std::string lines;
    for (std::size_t i = 0; i < curves_.size(); ++i) {
        script += fmt::format("$curve{} << end\n", i);
        for (const auto& [x, y] : curves_[i].points)
            script += fmt::format("{} {}\n", x, y);
        script += "end\n";
        lines += fmt::format("{}$curve{} with linespoints lw 2 title '{}'", i == 0 ? "" : ", ", i,
                             curves_[i].name);
    }
    script += "plot " + lines + "\n";
    std::fputs(script.c_str(), plot.get());
}

} // namespace pawl_bench
