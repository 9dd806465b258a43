#include "engine/run/due_reader.hpp"

#include "engine/run/exception_info.hpp"

#include <algorithm>
#include <numeric>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Further damaged runs are not logged.
constexpr std::size_t max_reported = 1'024;

constexpr std::size_t id_bits = 8 * sizeof(run_id::bytes);

void set_bit(run_id& id, std::size_t bit, bool value)
{
    const auto mask = static_cast<std::uint8_t>(0x80u >> (bit % 8));
    auto& byte = id.bytes[bit / 8];
    byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
}

run_id next_id(run_id id)
{
    for (auto byte = id.bytes.rbegin(); byte != id.bytes.rend(); ++byte)
        if (++*byte != 0)
            break;
    return id;
}

} // namespace

asio::awaitable<due_page> due_reader::read(std::uint32_t shard, due_position from, time_point until,
                                           std::size_t limit)
{
    std::exception_ptr failure;
    due_page page;
    try {
        page = co_await shared_.store.due(shard, from, until, limit);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !is_data_error(error_code_of(failure)))
        std::rethrow_exception(failure);
    if (failure)
        page = co_await read_past_damage(shard, from, until, limit);
    co_return page;
}

/// Whether the first run from that position on can be read. Throws failures with other reasons.
asio::awaitable<bool> due_reader::can_read(std::uint32_t shard, due_position from, time_point until)
{
    std::exception_ptr failure;
    try {
        co_await shared_.store.due(shard, from, until, 1);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !is_data_error(error_code_of(failure)))
        std::rethrow_exception(failure);
    co_return !failure;
}

/// Returns the readable runs before the first damaged run; or, if the damaged run is at `from`, no
/// run and the position behind it. A binary search finds the position, which the store does not
/// report.
asio::awaitable<due_page> due_reader::read_past_damage(std::uint32_t shard, due_position from,
                                                       time_point until, std::size_t limit)
{
    due_page page;
    for (auto fewer = limit / 2; fewer > 0; fewer /= 2) {
        std::exception_ptr failure;
        try {
            page = co_await shared_.store.due(shard, from, until, fewer);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return page;
        if (!is_data_error(error_code_of(failure)))
            std::rethrow_exception(failure);
    }
    // The latest time from which the damaged run is the first.
    auto low = from.at.time_since_epoch().count();
    auto high = until.time_since_epoch().count() + 1;
    while (low < high - 1) {
        const auto half = std::midpoint(low, high);
        const bool behind = co_await can_read(shard, {time_point{duration{half}}, {}}, until);
        (behind ? high : low) = half;
    }
    const auto time = std::max(from.at, time_point{duration{low}});
    // Its id: the greatest from which the damaged run is the first of that time.
    run_id id;
    for (std::size_t bit = 0; bit < id_bits; ++bit) {
        set_bit(id, bit, true);
        const due_position probe{time, id};
        const bool behind = probe < from ? false : co_await can_read(shard, probe, until);
        if (behind)
            set_bit(id, bit, false);
    }
    const due_position damaged{time, id};
    if (reported_.size() < max_reported && reported_.insert(damaged).second)
        shared_.log({log_level::error, "run " + to_string(id) +
                                           " is due, but the store cannot read it; the run is "
                                           "skipped until it is repaired, as are other damaged "
                                           "runs that are due at the same time"});
    page.next = due_position{time, next_id(id)};
    co_return page;
}

} // namespace pawl::engine_detail
