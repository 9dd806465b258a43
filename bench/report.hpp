#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pawl_bench {

double median(std::vector<double> samples);

/// What a figure, or its ratio to the limit, has to reach.
struct target {
    enum class subject { value, ratio };
    enum class bound { at_least, at_most };

    subject of = subject::value;
    bound is = bound::at_least;
    double number = 0;
};

target at_least(double number);
target at_most(double number);
target ratio_at_least(double number);
target ratio_at_most(double number);

/// One measured number: a sample for each repeat, beside what bounds it.
struct figure {
    std::string scenario;
    std::string what;
    std::string unit;
    std::vector<double> samples{};

    std::string limit{};                 ///< what was measured as the limit; empty: nothing
    std::vector<double> limit_samples{}; ///< sample i was taken right beside samples[i]

    std::vector<target> targets{};

    double value() const { return median(samples); }
    std::optional<double> limit_value() const;

    /// The median of samples[i] / limit_samples[i].
    std::optional<double> ratio() const;

    /// The largest distance between two samples, as a fraction of the median; empty of one sample,
    /// which says nothing of it.
    std::optional<double> spread() const;

    /// False when the repeats, or those of the limit, lie so far apart that a verdict is chance.
    bool is_steady() const;

    bool reaches(const target& each) const;
};

/// For people: three digits or more, thousands apart.
std::string shown(double number);

/// A line of the chart: y over x.
struct curve {
    std::string name;
    std::vector<std::pair<double, double>> points;
};

/// Everything that was measured. Figures are printed as they come.
class report {
public:
    void heading(const std::string& scenario, const std::string& what);
    void add(figure measured);
    void add(curve measured) { curves_.push_back(std::move(measured)); }
    void remark(const std::string& line);

    const std::vector<figure>& figures() const noexcept { return figures_; }
    const std::vector<curve>& curves() const noexcept { return curves_; }

    /// Prints what was missed, and how many targets were reached.
    void summary() const;

    /// @throws std::runtime_error that names the file when it cannot be written.
    void write_json(const std::string& file, const std::string& label) const;

    /// Writes the figures as Markdown: the section of README.md that shows the last ones.
    /// @throws std::runtime_error that names the file when it cannot be written.
    void write_table(const std::string& file, const std::string& label) const;

    /// Has gnuplot draw the curves. @throws std::runtime_error when there is none.
    void draw(const std::string& svg_file) const;

private:
    std::vector<figure> figures_;
    std::vector<curve> curves_;
};

} // namespace pawl_bench
