#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace pawl_bench {

double median(std::vector<double> samples)
{
    if (samples.empty())
        return 0;
    std::ranges::sort(samples);
    const auto middle = samples.size() / 2;
    return samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
}

target at_least(double number)
{
    return {target::subject::value, target::bound::at_least, number};
}

target at_most(double number)
{
    return {target::subject::value, target::bound::at_most, number};
}

target ratio_at_least(double number)
{
    return {target::subject::ratio, target::bound::at_least, number};
}

target ratio_at_most(double number)
{
    return {target::subject::ratio, target::bound::at_most, number};
}

std::optional<double> figure::limit_value() const
{
    if (limit_samples.empty())
        return {};
    return median(limit_samples);
}

std::optional<double> figure::ratio() const
{
    if (limit_samples.empty())
        return {};
    assert(limit_samples.size() == samples.size());
    std::vector<double> ratios;
    for (std::size_t i = 0; i < samples.size(); ++i)
        ratios.push_back(limit_samples[i] == 0 ? 0 : samples[i] / limit_samples[i]);
    return median(std::move(ratios));
}

namespace {

/// Beyond it, repeats disagree too much to tell whether a target is met.
constexpr double steady_spread = 0.25;

std::optional<double> spread_of(const std::vector<double>& samples)
{
    if (samples.size() < 2)
        return {};
    const auto [least, most] = std::ranges::minmax(samples);
    const auto middle = median(samples);
    return middle == 0 ? 0 : (most - least) / std::abs(middle);
}

} // namespace

std::optional<double> figure::spread() const
{
    return spread_of(samples);
}

bool figure::is_steady() const
{
    return spread_of(samples).value_or(0) <= steady_spread &&
           spread_of(limit_samples).value_or(0) <= steady_spread;
}

bool figure::reaches(const target& each) const
{
    const auto reached = each.of == target::subject::value ? value() : ratio();
    if (!reached)
        return false;
    return each.is == target::bound::at_least ? *reached >= each.number : *reached <= each.number;
}

std::string shown(double number)
{
    if (std::abs(number) >= 100) {
        auto digits = fmt::format("{:.0f}", number);
        for (auto at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
            digits.insert(static_cast<std::size_t>(at), ",");
        return digits;
    }
    return fmt::format("{:.{}f}", number, std::abs(number) >= 10 ? 1 : 2);
}

namespace {

std::string text_of(const target& each)
{
    return fmt::format("{}{} {}", each.of == target::subject::ratio ? "ratio " : "",
                       each.is == target::bound::at_least ? ">=" : "<=", shown(each.number));
}

std::string verdict(const figure& measured)
{
    std::string text;
    for (const auto& each : measured.targets)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(each),
                            measured.reaches(each) ? "met" : "MISSED");
    if (!text.empty() && !measured.is_steady())
        text += " (unsteady)";
    return text;
}

} // namespace

void report::heading(const std::string& scenario, const std::string& what)
{
    fmt::print("\n{}: {}\n", scenario, what);
    std::fflush(stdout);
}

void report::add(figure measured)
{
    assert(!measured.samples.empty());
    const auto spread = measured.spread();
    auto line = fmt::format("  {:<44} {:>11} {:<14} {:>7}", measured.what, shown(measured.value()),
                            measured.unit, spread ? fmt::format("{:.1f} %", *spread * 100) : "-");
    if (const auto limit = measured.limit_value())
        line +=
            fmt::format("  {:.2f} of {} ({})", *measured.ratio(), shown(*limit), measured.limit);
    if (const auto reached = verdict(measured); !reached.empty())
        line += "  " + reached;
    fmt::print("{}\n", line);
    std::fflush(stdout);
    figures_.push_back(std::move(measured));
}

void report::remark(const std::string& line)
{
    fmt::print("  {}\n", line);
    std::fflush(stdout);
}

void report::summary() const
{
    int met = 0;
    int missed = 0;
    int unsteady = 0;
    std::string list;
    for (const auto& each : figures_)
        for (const auto& wanted : each.targets) {
            const bool reached = each.reaches(wanted);
            ++(reached ? met : missed);
            unsteady += each.is_steady() ? 0 : 1;
            if (!reached)
                list +=
                    fmt::format("  {}, {}: {}, is {}\n", each.scenario, each.what, text_of(wanted),
                                shown(wanted.of == target::subject::ratio ? each.ratio().value_or(0)
                                                                          : each.value()));
        }
    fmt::print(
        "\n{} targets met, {} missed; {} of the verdicts are unsteady: their repeats lie over {} "
        "% apart{}\n{}",
        met, missed, unsteady, steady_spread * 100, missed > 0 ? "; missed:" : "", list);
}

} // namespace pawl_bench
