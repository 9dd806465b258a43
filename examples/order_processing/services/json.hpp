#pragma once

#include "money.hpp"
#include "pawl/codec.hpp"

#include <boost/describe/class.hpp>

#include <concepts>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing::services {

/// A request is malformed. what() is a sentence for the client that names the field by its path.
class field_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Reads a described struct. A member that is left out keeps its default; an unknown one is ignored
/// unless `only_known`. @throws field_error
template <class T>
T read_document(std::string_view body, bool only_known = false)
{
    std::string unknown;
    T document;
    try {
        document = pawl::codec<T>::decode(body, pawl::json_reading::tolerant, &unknown);
    } catch (const pawl::decode_error& error) {
        throw field_error(error.detail() + ".");
    }
    if (only_known && !unknown.empty())
        throw field_error(unknown + " is unknown.");
    return document;
}

/// @throws field_error "NAME must BOUND." unless it holds.
void require(bool holds, std::string_view name, std::string_view bound);
void require_text(const std::string& text, std::string_view name); ///< not empty

/// One line of an order, as the services see it.
struct item {
    std::string product_id;
    std::int64_t quantity = 0; ///< 1 to 1,000,000,000
};
BOOST_DESCRIBE_STRUCT(item, (), (product_id, quantity))

/// 1 to 10,000 lines. @throws field_error
void require_items(const std::vector<item>& items);

template <class T>
std::string to_json(const T& document)
{
    std::string text;
    pawl::codec<T>::encode(document, text);
    return text;
}

/// Writes a JSON object, member by member.
class json_writer {
public:
    template <class T>
    json_writer& add(std::string_view name, const T& value)
    {
        return add_json(name, to_json(value));
    }
    json_writer& add(std::string_view name, const char* text)
    {
        return add(name, std::string{text});
    }

    /// A member whose value is JSON already.
    json_writer& add_json(std::string_view name, std::string_view value);

    /// The object; the writer is used up.
    std::string done();

private:
    std::string text_ = "{";
};

/// Sums up the lines of each product; ordered by product, so that equal demands are equal.
std::map<std::string, std::int64_t> demand_of(const std::vector<item>& items);

} // namespace order_processing::services
