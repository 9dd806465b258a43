#include "pawl/record_store.hpp"

#include <charconv>

namespace pawl {

std::string to_string(const list_position& position)
{
    return std::to_string(position.created_at.time_since_epoch().count()) + "-" +
           to_string(position.run);
}

std::optional<list_position> parse_list_position(std::string_view text) noexcept
{
    std::int64_t count = 0;
    const auto* const end = text.data() + text.size();
    const auto [rest, failed] = std::from_chars(text.data(), end, count);
    if (failed != std::errc{} || rest == end || *rest != '-')
        return {};
    const auto run = parse_run_id({rest + 1, end});
    if (!run || !*run)
        return {};
    return list_position{time_point{duration{count}}, *run};
}

} // namespace pawl
