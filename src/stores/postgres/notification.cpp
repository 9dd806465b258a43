#include "stores/postgres/notification.hpp"

#include "stores/common/store_semantics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <random>

namespace pawl::postgres {

namespace {

/// PostgreSQL's limit is 7999 bytes.
constexpr std::size_t max_payload_bytes = 7000;

constexpr std::size_t origin_length = 16;

std::string entry_of(std::uint32_t shard, const std::optional<time_point>& due)
{
    return due ? fmt::format(" {}:{}", shard, due->time_since_epoch().count())
               : fmt::format(" {}:", shard);
}

bool is_origin(std::string_view text)
{
    return text.size() == origin_length && text.find_first_not_of("0123456789abcdef") == text.npos;
}

/// Takes a number from the front; empty when there is none or it is out of range.
template <typename Number>
std::optional<Number> take_number(std::string_view& text)
{
    Number number{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc{})
        return {};
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    return number;
}

bool take_char(std::string_view& text, char wanted)
{
    if (!text.starts_with(wanted))
        return false;
    text.remove_prefix(1);
    return true;
}

} // namespace

void merge(std::optional<time_point>& earliest, const std::optional<time_point>& other)
{
    if (other && (!earliest || *other < *earliest))
        earliest = other;
}

std::string random_origin()
{
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
}

std::vector<std::string> payloads_of(std::string_view origin, const due_by_shard& changed)
{
    std::vector<std::string> payloads;
    for (const auto& [shard, due] : changed) {
        if (payloads.empty() || payloads.back().size() > max_payload_bytes)
            payloads.emplace_back(origin);
        payloads.back() += entry_of(shard, due);
    }
    return payloads;
}

std::optional<notification> parse_notification(std::string_view payload)
{
    notification read;
    read.origin = payload.substr(0, origin_length);
    payload.remove_prefix(read.origin.size());
    if (!is_origin(read.origin))
        return {};
    while (!payload.empty()) {
        if (!take_char(payload, ' '))
            return {};
        const auto shard = take_number<std::uint32_t>(payload);
        if (!shard || *shard >= core::max_shards_of_all || !take_char(payload, ':'))
            return {};
        auto& due = read.changed[*shard];
        if (payload.empty() || payload.starts_with(' '))
            continue;
        const auto time = take_number<duration::rep>(payload);
        if (!time)
            return {};
        merge(due, time_point{duration{*time}});
    }
    return read;
}

} // namespace pawl::postgres
