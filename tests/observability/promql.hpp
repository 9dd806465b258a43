// Which metrics and labels an expression of PromQL names. It knows what the dashboard and the
// alerts of src/prometheus use; anything else is an error.
#pragma once

#include <cctype>
#include <cstddef>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace observability_test {

using labels = std::set<std::string, std::less<>>;

/// The metrics of an expression, each with the labels of its selector, and the labels by which the
/// expression groups.
struct promql_names {
    std::map<std::string, labels, std::less<>> metrics;
    labels groups;
};

class promql_parser {
public:
    explicit promql_parser(std::string_view text) : text_(text) {}

    promql_names parse()
    {
        while (skip_to_word())
            take_word();
        return found_;
    }

private:
    static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

    /// Moves to the next name outside of strings, durations and numbers.
    bool skip_to_word()
    {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '"')
                at_ = text_.find('"', at_ + 1);
            else if (c == '[')
                at_ = text_.find(']', at_);
            else if (std::isdigit(static_cast<unsigned char>(c)))
                while (at_ + 1 < text_.size() && (is_word(text_[at_ + 1]) || text_[at_ + 1] == '.'))
                    ++at_;
            else if (is_word(c))
                return true;
            if (at_ == std::string_view::npos)
                throw std::runtime_error("a string or duration has no end: " + std::string{text_});
        }
        return false;
    }

    std::string read_word()
    {
        const auto begin = at_;
        while (at_ < text_.size() && is_word(text_[at_]))
            ++at_;
        return std::string{text_.substr(begin, at_ - begin)};
    }

    bool is_next(char wanted)
    {
        while (at_ < text_.size() && text_[at_] == ' ')
            ++at_;
        return at_ < text_.size() && text_[at_] == wanted;
    }

    void take_word()
    {
        static const labels grouping{"by",       "without",    "on",
                                     "ignoring", "group_left", "group_right"};
        static const labels functions{
            "sum",      "max",          "min",           "count",         "rate",
            "increase", "label_values", "min_over_time", "max_over_time", "histogram_quantile"};
        static const labels operators{"and", "or", "unless", "bool"};
        const auto word = read_word();
        if (grouping.contains(word)) {
            take_labels('(', ')', found_.groups);
        } else if (!functions.contains(word) && !operators.contains(word)) {
            if (is_next('('))
                throw std::runtime_error("unknown function " + word);
            take_labels('{', '}', found_.metrics[word]);
        }
    }

    /// Names in a list of labels or matchers, if there is one.
    void take_labels(char open, char close, labels& into)
    {
        if (!is_next(open))
            return;
        const auto end = text_.find_first_of(close, at_);
        while (skip_to_word() && at_ < end)
            into.insert(read_word());
        at_ = end;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    promql_names found_;
};

} // namespace observability_test
