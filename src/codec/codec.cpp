#include "pawl/detail/json_io.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <new>
#include <system_error>

namespace pawl::detail {

namespace json = boost::json;

namespace {

/// Builds a value from the parser's events, as Boost's own parser does, except that numbers with a
/// fraction or exponent are converted exactly: Boost 1.81 can be off by one unit in the last place.
struct value_builder {
    using ec = boost::system::error_code;
    using text = json::string_view;

    static constexpr std::size_t max_object_size = json::object::max_size();
    static constexpr std::size_t max_array_size = json::array::max_size();
    static constexpr std::size_t max_key_size = json::string::max_size();
    static constexpr std::size_t max_string_size = json::string::max_size();

    unsigned char buffer[2048];
    json::value_stack stack{{}, buffer, sizeof(buffer)};

    value_builder() {} // without it, the parser would clear the buffer

    bool on_document_begin(ec&) { return true; }
    bool on_document_end(ec&) { return true; }
    bool on_object_begin(ec&) { return true; }
    bool on_array_begin(ec&) { return true; }
    bool on_object_end(std::size_t n, ec&) { return stack.push_object(n), true; }
    bool on_array_end(std::size_t n, ec&) { return stack.push_array(n), true; }
    bool on_key_part(text s, std::size_t, ec&) { return stack.push_chars(s), true; }
    bool on_key(text s, std::size_t, ec&) { return stack.push_key(s), true; }
    bool on_string_part(text s, std::size_t, ec&) { return stack.push_chars(s), true; }
    bool on_string(text s, std::size_t, ec&) { return stack.push_string(s), true; }
    bool on_number_part(text, ec&) { return true; }
    bool on_int64(std::int64_t i, text, ec&) { return stack.push_int64(i), true; }
    bool on_uint64(std::uint64_t u, text, ec&) { return stack.push_uint64(u), true; }
    bool on_double(double rounded, text s, ec&)
    {
        double exact = rounded;
        // When the number is out of range, Boost's zero or infinity remains.
        std::from_chars(s.data(), s.data() + s.size(), exact);
        return stack.push_double(exact), true;
    }
    bool on_bool(bool b, ec&) { return stack.push_bool(b), true; }
    bool on_null(ec&) { return stack.push_null(), true; }
    bool on_comment_part(text, ec&) { return true; }
    bool on_comment(text, ec&) { return true; }
};

json::value parse(std::string_view text, json::storage_ptr memory)
{
    json::parse_options options;
    options.max_depth = max_json_depth;
    json::basic_parser<value_builder> parser{options};
    parser.handler().stack.reset(std::move(memory));

    boost::system::error_code failed;
    const auto used = parser.write_some(false, text.data(), text.size(), failed);
    if (failed == json::error::too_deep)
        throw decode_error{{}, "nested deeper than " + std::to_string(max_json_depth) + " levels"};
    if (!failed && used < text.size())
        failed = json::error::extra_data;
    if (failed)
        throw decode_error{{},
                           "not JSON at byte " + std::to_string(used) + ": " + failed.message()};
    return parser.handler().stack.release();
}

std::string describe(const json::value& found)
{
    switch (found.kind()) {
    case json::kind::null:
        return "null";
    case json::kind::bool_:
        return found.get_bool() ? "true" : "false";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
        return "a number";
    case json::kind::string:
        return "a string";
    case json::kind::array:
        return "an array";
    case json::kind::object:
        break;
    }
    return "an object";
}

[[noreturn]] void refuse(const char* expected, const json::value& found, const json_path& path)
{
    throw decode_error{path, std::string{"expected "} + expected + ", found " + describe(found)};
}

template <class Number>
std::string text_of(Number number)
{
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    return {text.data(), end};
}

template <class Least, class Most>
[[noreturn]] void refuse_range(Least least, Most most, const json::value& found,
                               const json_path& path)
{
    std::string number;
    if (found.is_double())
        number = text_of(found.get_double());
    else if (found.is_uint64())
        number = text_of(found.get_uint64());
    else
        number = text_of(found.get_int64());
    throw decode_error{path, "expected an integer from " + text_of(least) + " to " + text_of(most) +
                                 ", found " + number};
}

/// Whether a double is exactly the integer that was written. From 2^53 on it may have been rounded.
bool is_integer(double number)
{
    constexpr double exact = 9007199254740992.0;
    return number > -exact && number < exact && number == std::trunc(number);
}

template <class Number>
void append_number(Number number, std::string& out)
{
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    out.append(text.data(), end);
}

template <class Real>
void append_real(Real number, std::string& out)
{
    if (!std::isfinite(number))
        throw encode_error{std::isnan(number) ? "JSON has no form for not-a-number"
                                              : "JSON has no form for infinity"};
    // "-0" would be read as the integer 0, without its sign.
    if (number == 0 && std::signbit(number))
        out += "-0.0";
    else
        append_number(number, out);
}

thread_local std::size_t open_levels = 0;

} // namespace

json::value parse_json(std::string_view text)
{
    return parse(text, {});
}

json_document::json_document(std::string_view text) : root_(parse(text, &memory_))
{
}

write_level::write_level()
{
    if (open_levels >= max_json_depth)
        throw encode_error{"nested deeper than " + std::to_string(max_json_depth) + " levels"};
    ++open_levels;
}

write_level::~write_level()
{
    --open_levels;
}

void write_signed(std::int64_t from, std::string& out)
{
    append_number(from, out);
}

void write_unsigned(std::uint64_t from, std::string& out)
{
    append_number(from, out);
}

void write_number(double from, std::string& out)
{
    append_real(from, out);
}

void write_number(float from, std::string& out)
{
    append_real(from, out);
}

void write_value(const json::value& from, std::string& out)
{
    switch (from.kind()) {
    case json::kind::null:
        out += "null";
        return;
    case json::kind::bool_:
        out += from.get_bool() ? "true" : "false";
        return;
    case json::kind::int64:
        return write_signed(from.get_int64(), out);
    case json::kind::uint64:
        return write_unsigned(from.get_uint64(), out);
    case json::kind::double_:
        return write_number(from.get_double(), out);
    case json::kind::string:
        return write_text({from.get_string().data(), from.get_string().size()}, out);
    case json::kind::array: {
        const write_level level;
        out += '[';
        for (const auto& item : from.get_array()) {
            write_value(item, out);
            out += ',';
        }
        return close_list(']', out);
    }
    case json::kind::object: {
        const write_level level;
        out += '{';
        for (const auto& pair : from.get_object()) {
            write_text({pair.key().data(), pair.key().size()}, out);
            out += ':';
            write_value(pair.value(), out);
            out += ',';
        }
        return close_list('}', out);
    }
    }
}

bool read_bool(const json::value& from, const json_path& path)
{
    if (!from.is_bool())
        refuse("true or false", from, path);
    return from.get_bool();
}

std::int64_t read_signed(const json::value& from, std::int64_t least, std::int64_t most,
                         const json_path& path)
{
    std::int64_t value = 0;
    if (from.is_int64()) {
        value = from.get_int64();
    } else if (from.is_double()) {
        const double number = from.get_double();
        if (!is_integer(number))
            refuse_range(least, most, from, path);
        value = static_cast<std::int64_t>(number);
    } else if (from.is_uint64()) {
        // Boost.JSON uses this kind only for numbers above INT64_MAX.
        refuse_range(least, most, from, path);
    } else {
        refuse("an integer", from, path);
    }
    if (value < least || value > most)
        refuse_range(least, most, from, path);
    return value;
}

std::uint64_t read_unsigned(const json::value& from, std::uint64_t most, const json_path& path)
{
    std::uint64_t value = 0;
    if (from.is_int64()) {
        if (from.get_int64() < 0)
            refuse_range(0, most, from, path);
        value = static_cast<std::uint64_t>(from.get_int64());
    } else if (from.is_uint64()) {
        value = from.get_uint64();
    } else if (from.is_double()) {
        const double number = from.get_double();
        if (!is_integer(number) || number < 0)
            refuse_range(0, most, from, path);
        value = static_cast<std::uint64_t>(number);
    } else {
        refuse("an integer", from, path);
    }
    if (value > most)
        refuse_range(0, most, from, path);
    return value;
}

double read_number(const json::value& from, double most, const json_path& path)
{
    double value = 0;
    if (from.is_double())
        value = from.get_double();
    else if (from.is_int64())
        value = static_cast<double>(from.get_int64());
    else if (from.is_uint64())
        value = static_cast<double>(from.get_uint64());
    else
        refuse("a number", from, path);
    if (!(std::abs(value) <= most))
        throw decode_error{path,
                           "expected a number up to " + text_of(most) + ", found a larger one"};
    return value;
}

void check_value(const json::value& from, const json_path& path)
{
    if (from.is_double()) {
        read_number(from, std::numeric_limits<double>::max(), path);
    } else if (from.is_array()) {
        const auto& items = from.get_array();
        for (std::size_t i = 0; i < items.size(); ++i)
            check_value(items[i], {path, i});
    } else if (from.is_object()) {
        for (const auto& [name, value] : from.get_object())
            check_value(value, {path, {name.data(), name.size()}});
    }
}

std::string_view read_text(const json::value& from, const json_path& path)
{
    if (!from.is_string())
        refuse("a string", from, path);
    return {from.get_string().data(), from.get_string().size()};
}

const json::array& read_array(const json::value& from, const json_path& path)
{
    if (!from.is_array())
        refuse("an array", from, path);
    return from.get_array();
}

const json::array& read_array_of(std::size_t size, const json::value& from, const json_path& path)
{
    const auto& list = read_array(from, path);
    if (list.size() != size)
        throw decode_error{path, "expected an array of " + std::to_string(size) +
                                     ", found one of " + std::to_string(list.size())};
    return list;
}

const json::object& read_object(const json::value& from, const json_path& path)
{
    if (!from.is_object())
        refuse("an object", from, path);
    return from.get_object();
}

void refuse_missing(const json_path& path)
{
    throw decode_error{path, "it is missing"};
}

void refuse_unknown(const json_path& path)
{
    throw decode_error{path, "there is no such member"};
}

void refuse_name(std::string_view found, std::span<const std::string_view> names,
                 const json_path& path)
{
    constexpr std::size_t shown = 40;
    std::string problem = "expected one of";
    const char* separator = " ";
    for (const auto name : names) {
        problem += separator;
        problem += name;
        separator = ", ";
    }
    problem += ", found \"";
    problem += found.substr(0, shown);
    problem += found.size() > shown ? "…\"" : "\"";
    throw decode_error{path, problem};
}

std::int64_t scale(std::int64_t count, std::int64_t num, std::int64_t den)
{
    // A ratio is in lowest terms, so for all units from nanoseconds to years one side is 1.
    std::int64_t product = 0;
    if (__builtin_mul_overflow(count, num, &product))
        throw encode_error{"a duration too long for 64 bits of microseconds"};
    return product / den;
}

std::int64_t read_scaled(const json::value& from, std::int64_t num, std::int64_t den,
                         std::int64_t least, std::int64_t most, const json_path& path)
{
    using limits = std::numeric_limits<std::int64_t>;
    const auto count = read_signed(from, limits::min(), limits::max(), path);
    std::int64_t product = 0;
    if (__builtin_mul_overflow(count, num, &product) || product / den < least ||
        product / den > most)
        throw decode_error{path, "this duration is out of the range of its type"};
    return product / den;
}

} // namespace pawl::detail
