#pragma once

#include "pawl/time.hpp"

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace order_processing {

/// The command line or the environment is wrong. what() is a sentence that names the flag.
class flag_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The flags of a program: `--name value` or `--name=value`, each also taken from an environment
/// variable. A flag overrides its variable, and the last occurrence of a repeated flag counts.
///
/// Each flag writes to a variable of the caller, which must outlive parse(); its initial value is
/// the default that help() shows.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class flag_set {
public:
    /// Looks up a variable of the environment.
    using environment = std::function<std::optional<std::string>(const std::string& name)>;

    /// @param usage The first lines of the help text.
    /// @param prefix Of the environment variables: "PAWL_" makes `--pay-port` PAWL_PAY_PORT.
    flag_set(std::string usage, std::string prefix);

    /// A flag that takes any text but the empty one. `value_name` stands for it in the help text.
    void text(std::string name, std::string& value, std::string value_name, std::string help);

    /// A flag that takes a whole number in `[lowest, highest]`.
    template <std::integral T>
    void number(std::string name, T& value, std::string help,
                T lowest = std::numeric_limits<T>::min(), T highest = std::numeric_limits<T>::max())
    {
        static_assert(sizeof(T) < sizeof(std::int64_t) || std::signed_integral<T>);
        add({.name = std::move(name),
             .value_name = "N",
             .help = std::move(help),
             .shown_default = std::to_string(value),
             .set = [&value, lowest, highest](std::string_view value_text) {
                 value = static_cast<T>(read_number(value_text, lowest, highest));
             }});
    }

    /// A text that other users must not see in the list of processes: it is read only from the
    /// environment.
    void secret(std::string name, std::string& value, std::string help);

    /// A flag that takes a span of time with its unit: "250ms", "5s", "2min", "0s".
    void time_span(std::string name, pawl::duration& value, std::string help);

    /// A flag that takes no value on the command line; true, false, 1 or 0 in the environment.
    void toggle(std::string name, bool& value, std::string help);

    /// A flag that may take a text, as `--name=value`; without a value it means `bare`. In the
    /// environment it takes a text.
    void optional_text(std::string name, std::string& value, std::string bare,
                       std::string value_name, std::string help);

    /// The `names` that have the prefix of these flags' variables but belong to no flag: they may
    /// be misspelled.
    std::vector<std::string> unknown_variables(const std::vector<std::string>& names) const;

    /// Reads the environment, then the arguments (without the program's name).
    ///
    /// `--help` or `-h` anywhere ends the reading.
    /// @return False when help was requested.
    /// @throws flag_error for an unknown flag, a missing or invalid value, and an argument that is
    /// not a flag.
    bool parse(const std::vector<std::string>& arguments, const environment& variables);

    /// As above, with main()'s arguments and the process's environment.
    bool parse(int argc, const char* const* argv);

    /// The usage, a line or two per flag with its default, and the names of the variables.
    std::string help() const;

private:
    struct flag {
        std::string name;
        std::string value_name; ///< empty: the flag takes no value
        std::string bare{};     ///< not empty: its value if none is given
        std::string help;
        std::string shown_default{}; ///< empty: no default is shown
        bool only_variable = false;
        std::function<void(std::string_view)> set; ///< throws flag_error: "must be …"
    };

    static std::int64_t read_number(std::string_view value_text, std::int64_t lowest,
                                    std::int64_t highest);
    void add(flag added);
    const flag* find(std::string_view name) const;
    std::string variable_of(const flag& declared) const;

    std::string usage_;
    std::string prefix_;
    std::vector<flag> flags_;
};

} // namespace order_processing
