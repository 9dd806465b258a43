#include "repeated_member.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace order_processing {
namespace {

namespace json = boost::json;

/// Follows the parser through the document. The names of the functions are those of Boost.JSON's
/// handler.
class member_watcher {
public:
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    std::optional<std::string> repeated;

    bool on_object_begin(json::error_code&)
    {
        begin_value();
        levels_.push_back({.is_object = true});
        return true;
    }
    bool on_array_begin(json::error_code&)
    {
        begin_value();
        levels_.push_back({.is_object = false});
        return true;
    }
    bool on_object_end(std::size_t, json::error_code&) { return end_level(); }
    bool on_array_end(std::size_t, json::error_code&) { return end_level(); }

    bool on_key_part(json::string_view part, std::size_t, json::error_code&)
    {
        key_.append(part.data(), part.size());
        return true;
    }
    bool on_key(json::string_view part, std::size_t, json::error_code& error)
    {
        key_.append(part.data(), part.size());
        auto& level = levels_.back();
        level.member = std::exchange(key_, {});
        if (level.members.insert(level.member).second)
            return true;
        repeated = path();
        error = json::error::extra_data; // any error ends the parsing
        return false;
    }

    bool on_string(json::string_view, std::size_t, json::error_code&) { return begin_value(); }
    bool on_int64(std::int64_t, json::string_view, json::error_code&) { return begin_value(); }
    bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return begin_value(); }
    bool on_double(double, json::string_view, json::error_code&) { return begin_value(); }
    bool on_bool(bool, json::error_code&) { return begin_value(); }
    bool on_null(json::error_code&) { return begin_value(); }

    bool on_document_begin(json::error_code&) { return true; }
    bool on_document_end(json::error_code&) { return true; }
    bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
    bool on_number_part(json::string_view, json::error_code&) { return true; }
    bool on_comment_part(json::string_view, json::error_code&) { return true; }
    bool on_comment(json::string_view, json::error_code&) { return true; }

private:
    /// An object or an array that is being read.
    struct level {
        bool is_object = false;
        std::string member{};            ///< of an object: the last one
        std::set<std::string> members{}; ///< of an object
        std::size_t items = 0;           ///< of an array: how many have begun
    };

    bool begin_value()
    {
        if (!levels_.empty() && !levels_.back().is_object)
            ++levels_.back().items;
        return true;
    }

    bool end_level()
    {
        levels_.pop_back();
        return true;
    }

    std::string path() const
    {
        std::string text;
        for (const auto& level : levels_) {
            if (!level.is_object)
                text += "[" + std::to_string(level.items - 1) + "]";
            else
                text += (text.empty() ? "" : ".") + level.member;
        }
        return text;
    }

    std::vector<level> levels_;
    std::string key_;
};

} // namespace

std::optional<std::string> find_repeated_member(std::string_view text)
{
    json::basic_parser<member_watcher> parser{json::parse_options{}};
    json::error_code error;
    parser.write_some(false, text.data(), text.size(), error);
    return std::move(parser.handler().repeated);
}

} // namespace order_processing
