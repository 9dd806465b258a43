#pragma once

#include "pawl/json_path.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

/// The parts of the JSON codecs that are not templates.
namespace pawl::detail {

/// Nesting of arrays and objects that is written and read.
inline constexpr std::size_t max_json_depth = 32;

/// A parsed document in memory of its own; small ones live on the stack.
class json_document {
public:
    explicit json_document(std::string_view text);

    const boost::json::value& root() const noexcept { return root_; }

private:
    alignas(std::max_align_t) unsigned char buffer_[4096];
    boost::json::monotonic_resource memory_{buffer_, sizeof(buffer_)};
    boost::json::value root_;
};

/// Parses a document, its numbers exactly. Throws decode_error.
boost::json::value parse_json(std::string_view text);

/// One open array or object. Throws encode_error past max_json_depth.
class write_level {
public:
    write_level();
    ~write_level();
    write_level(const write_level&) = delete;
    write_level& operator=(const write_level&) = delete;
};

/// Closes an array or object; a trailing comma is replaced.
inline void close_list(char bracket, std::string& out)
{
    if (out.back() == ',')
        out.back() = bracket;
    else
        out += bracket;
}

/// Writes the name of a described member, which needs no escaping.
inline void write_name(std::string_view name, std::string& out)
{
    out += '"';
    out += name;
    out += "\":";
}

void write_signed(std::int64_t value, std::string& out);
void write_unsigned(std::uint64_t value, std::string& out);
void write_number(double value, std::string& out);
void write_number(float value, std::string& out);
void write_text(std::string_view value, std::string& out);
void write_value(const boost::json::value& value, std::string& out);

bool read_bool(const boost::json::value& json, const json_path& path);
std::int64_t read_signed(const boost::json::value& json, std::int64_t least, std::int64_t most,
                         const json_path& path);
std::uint64_t read_unsigned(const boost::json::value& json, std::uint64_t most,
                            const json_path& path);
/// Throws decode_error for numbers that are too large to be written again.
void check_value(const boost::json::value& json, const json_path& path);
double read_number(const boost::json::value& json, double most, const json_path& path);
std::string_view read_text(const boost::json::value& json, const json_path& path);
const boost::json::array& read_array(const boost::json::value& json, const json_path& path);
const boost::json::array& read_array_of(std::size_t size, const boost::json::value& json,
                                        const json_path& path);
const boost::json::object& read_object(const boost::json::value& json, const json_path& path);

[[noreturn]] void refuse_missing(const json_path& path);
[[noreturn]] void refuse_unknown(const json_path& path);
[[noreturn]] void refuse_name(std::string_view found, std::span<const std::string_view> names,
                              const json_path& path);

/// An instant since the Unix epoch. `rest` is not negative and less than a second.
struct split_time {
    std::chrono::seconds seconds{};
    std::chrono::nanoseconds rest{};
};

void write_time(const split_time& value, std::string& out);
split_time read_time(const boost::json::value& json, const json_path& path);

/// `count * num / den`, cut off toward zero; throws encode_error when it does not fit.
std::int64_t scale(std::int64_t count, std::int64_t num, std::int64_t den);

/// Reads an integer and scales it the same way, into the range from `least` to `most`.
std::int64_t read_scaled(const boost::json::value& json, std::int64_t num, std::int64_t den,
                         std::int64_t least, std::int64_t most, const json_path& path);

} // namespace pawl::detail
