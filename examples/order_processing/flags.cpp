#include "flags.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <iterator>

namespace order_processing {

namespace {

struct time_unit {
    std::string_view name;
    std::int64_t microseconds;
};

// The longest name that fits comes first: "ms" before "s".
constexpr std::array<time_unit, 5> time_units{
    {{"ms", 1'000}, {"us", 1}, {"min", 60'000'000}, {"h", 3'600'000'000}, {"s", 1'000'000}}};

std::optional<std::int64_t> to_number(std::string_view text)
{
    std::int64_t value = 0;
    const auto end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec != std::errc{} || read.ptr != end)
        return {};
    return value;
}

pawl::duration read_time_span(std::string_view value_text)
{
    for (const auto& unit : time_units) {
        if (!value_text.ends_with(unit.name))
            continue;
        const auto count = to_number(value_text.substr(0, value_text.size() - unit.name.size()));
        std::int64_t microseconds = 0;
        if (!count || *count < 0 ||
            __builtin_mul_overflow(*count, unit.microseconds, &microseconds))
            break;
        return pawl::duration{microseconds};
    }
    throw flag_error("must be a time with its unit, such as 250ms, 5s or 2min");
}

std::string to_text(pawl::duration span)
{
    if (span.count() % 1'000'000 == 0)
        return std::to_string(span.count() / 1'000'000) + "s";
    if (span.count() % 1'000 == 0)
        return std::to_string(span.count() / 1'000) + "ms";
    return std::to_string(span.count()) + "us";
}

bool read_toggle(std::string_view value_text)
{
    if (value_text == "true" || value_text == "1")
        return true;
    if (value_text == "false" || value_text == "0")
        return false;
    throw flag_error("must be true, false, 1 or 0");
}

template <class Set>
void set_named(const std::string& shown, std::string_view value_text, const Set& set)
{
    try {
        set(value_text);
    } catch (const flag_error& error) {
        throw flag_error(shown + " " + error.what() + ", and is \"" + std::string{value_text} +
                         "\".");
    }
}

} // namespace

flag_set::flag_set(std::string usage, std::string prefix)
    : usage_(std::move(usage)), prefix_(std::move(prefix))
{
}

void flag_set::text(std::string name, std::string& value, std::string value_name, std::string help)
{
    add({.name = std::move(name),
         .value_name = std::move(value_name),
         .help = std::move(help),
         .shown_default = value,
         .set = [&value](std::string_view value_text) {
             if (value_text.empty())
                 throw flag_error("must not be empty");
             value = value_text;
         }});
}

void flag_set::secret(std::string name, std::string& value, std::string help)
{
    add({.name = std::move(name),
         .value_name = "SECRET",
         .help = std::move(help),
         .only_variable = true,
         .set = [&value](std::string_view value_text) {
             value = value_text;
         }});
}

void flag_set::time_span(std::string name, pawl::duration& value, std::string help)
{
    add({.name = std::move(name),
         .value_name = "TIME",
         .help = std::move(help),
         .shown_default = to_text(value),
         .set = [&value](std::string_view value_text) {
             value = read_time_span(value_text);
         }});
}

void flag_set::toggle(std::string name, bool& value, std::string help)
{
    add({.name = std::move(name),
         .value_name = {},
         .help = std::move(help),
         .set = [&value](std::string_view value_text) {
             value = read_toggle(value_text);
         }});
}

void flag_set::optional_text(std::string name, std::string& value, std::string bare,
                             std::string value_name, std::string help)
{
    add({.name = std::move(name),
         .value_name = std::move(value_name),
         .bare = std::move(bare),
         .help = std::move(help),
         .shown_default = value,
         .set = [&value](std::string_view value_text) {
             value = value_text;
         }});
}

std::vector<std::string> flag_set::unknown_variables(const std::vector<std::string>& names) const
{
    std::vector<std::string> unknown;
    for (const auto& name : names) {
        const bool known = std::any_of(flags_.begin(), flags_.end(), [&](const flag& candidate) {
            return variable_of(candidate) == name;
        });
        if (name.starts_with(prefix_) && !known)
            unknown.push_back(name);
    }
    return unknown;
}

bool flag_set::parse(const std::vector<std::string>& arguments, const environment& variables)
{
    for (const auto& argument : arguments)
        if (argument == "--help" || argument == "-h")
            return false;
    for (const auto& declared : flags_)
        if (const auto value_text = variables(variable_of(declared)))
            set_named(variable_of(declared), *value_text, declared.set);

    for (auto current = arguments.begin(); current != arguments.end(); ++current) {
        if (!current->starts_with("--"))
            throw flag_error("\"" + *current + "\" is not a flag; see --help.");
        const auto equals = current->find('=');
        const auto shown = current->substr(0, equals);
        const auto* found = find(std::string_view{shown}.substr(2));
        if (found == nullptr)
            throw flag_error("Unknown flag " + shown + "; see --help.");

        if (found->only_variable)
            throw flag_error(shown + " is read from " + variable_of(*found) + " only.");
        if (found->value_name.empty()) {
            if (equals != std::string::npos)
                throw flag_error(shown + " takes no value.");
            found->set("true");
        } else if (equals != std::string::npos) {
            set_named(shown, std::string_view{*current}.substr(equals + 1), found->set);
        } else if (!found->bare.empty()) {
            found->set(found->bare);
        } else if (std::next(current) == arguments.end() || std::next(current)->starts_with("--")) {
            throw flag_error(shown + " needs a value: " + shown + " " + found->value_name + ".");
        } else {
            ++current;
            set_named(shown, *current, found->set);
        }
    }
    return true;
}

bool flag_set::parse(int argc, const char* const* argv)
{
    return parse(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                 [](const std::string& name) -> std::optional<std::string> {
                     const char* value = std::getenv(name.c_str());
                     return value == nullptr ? std::nullopt : std::optional<std::string>{value};
                 });
}

std::string flag_set::help() const
{
    std::string lines = usage_ + "\n\n";
    for (const auto& declared : flags_) {
        auto line = declared.only_variable ? "  " + variable_of(declared) : "  --" + declared.name;
        if (!declared.bare.empty())
            line += "[=" + declared.value_name + "]";
        else if (!declared.value_name.empty() && !declared.only_variable)
            line += " " + declared.value_name;
        constexpr std::size_t help_column = 28;
        line.append(line.size() + 2 <= help_column ? help_column - line.size() : 2, ' ');
        line += declared.help;
        if (!declared.shown_default.empty())
            line += " (default " + declared.shown_default + ")";
        lines += line + "\n";
    }
    lines += "  --help                    Show this text.\n\nEach flag can also come from the "
             "environment: ";
    for (const auto& declared : flags_)
        lines += variable_of(declared) + (&declared == &flags_.back() ? ".\n" : ", ");
    return lines;
}

std::int64_t flag_set::read_number(std::string_view value_text, std::int64_t lowest,
                                   std::int64_t highest)
{
    const auto value = to_number(value_text);
    if (!value || *value < lowest || *value > highest)
        throw flag_error("must be a whole number from " + std::to_string(lowest) + " to " +
                         std::to_string(highest));
    return *value;
}

void flag_set::add(flag added)
{
    if (find(added.name) != nullptr)
        throw std::invalid_argument("the flag --" + added.name + " is declared twice");
    flags_.push_back(std::move(added));
}

const flag_set::flag* flag_set::find(std::string_view name) const
{
    for (const auto& declared : flags_)
        if (declared.name == name)
            return &declared;
    return nullptr;
}

std::string flag_set::variable_of(const flag& declared) const
{
    auto name = prefix_;
    for (const char c : declared.name)
        name.push_back(c == '-' ? '_'
                                : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c));
    return name;
}

} // namespace order_processing
