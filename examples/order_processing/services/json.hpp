#pragma once

#include "money.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <concepts>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing::services {

/// A request is malformed. what() is a sentence for the peer that names the field by its path.
class field_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One line of an order, as the services see it.
struct item {
    std::string product_id;
    std::int64_t quantity = 0; ///< 1 to 1,000,000,000
};

/// Reads the members of a JSON object, each of which must be there and of its type. Members that
/// nobody asks for are ignored. @throws field_error from each function.
class json_reader {
public:
    /// Reads a request's body.
    explicit json_reader(std::string_view body);

    bool has(std::string_view name) const;
    std::string text(std::string_view name) const; ///< not empty
    std::string text_or_empty(std::string_view name) const;
    std::int64_t number(std::string_view name, std::int64_t lowest, std::int64_t highest) const;
    std::uint64_t seed(std::string_view name) const;
    double rate(std::string_view name) const; ///< 0 to 1
    money positive_amount(std::string_view name) const;
    std::vector<item> items(std::string_view name) const; ///< 1 to 10,000
    json_reader object(std::string_view name) const;

    /// @throws field_error when there is a member of another name.
    void allow_only(const std::vector<std::string_view>& names) const;

private:
    json_reader(boost::json::object members, std::string path);
    const boost::json::value& member(std::string_view name) const;
    [[noreturn]] void fail(std::string_view name, std::string_view what) const;

    boost::json::object members_;
    std::string path_; ///< of the object: "", or "items[0]."
};

/// Writes a JSON object, member by member.
class json_writer {
public:
    json_writer& add(std::string_view name, std::string_view text);
    json_writer& add(std::string_view name, const char* text);
    json_writer& add(std::string_view name, money amount);
    json_writer& add(std::string_view name, double number);
    json_writer& add(std::string_view name, std::integral auto number)
    {
        return add_json(name, std::to_string(number));
    }

    /// A member whose value is JSON already.
    json_writer& add_json(std::string_view name, std::string_view value);

    /// The object; the writer is used up.
    std::string done();

private:
    std::string text_ = "{";
};

/// Sums the lines of a product up; ordered by product, so that equal demands look alike.
std::map<std::string, std::int64_t> demand_of(const std::vector<item>& items);

std::string to_json(const std::vector<item>& items);

/// Reads what to_json() wrote.
std::vector<item> items_from_json(std::string_view text);

} // namespace order_processing::services
