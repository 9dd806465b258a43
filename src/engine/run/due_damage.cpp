// How due_scanner gets past runs that the store has but cannot read.
#include "engine/run/due_scanner.hpp"
#include "engine/run/exception_info.hpp"

#include <algorithm>
#include <numeric>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Damaged runs that are remembered, so that each is reported once.
constexpr std::size_t max_reported = 1'024;

constexpr std::size_t id_bits = 8 * sizeof(run_id::bytes);

void set_bit(run_id& id, std::size_t bit, bool value)
{
    const auto mask = static_cast<std::uint8_t>(0x80u >> (bit % 8));
    auto& byte = id.bytes[bit / 8];
    byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
}

/// The id after this one.
run_id after(run_id id)
{
    for (auto byte = id.bytes.rbegin(); byte != id.bytes.rend(); ++byte)
        if (++*byte != 0)
            break;
    return id;
}

} // namespace

/// Whether the first run from there on can be read. Throws what has other reasons.
asio::awaitable<bool> due_scanner::can_read(std::uint32_t shard, due_position from,
                                            time_point until)
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

/// The readable runs before the first that is damaged; or, if it stands at `from`, no run and the
/// position behind it. The store does not say where it is, so the position is found by halving.
asio::awaitable<due_page> due_scanner::read_past_damage(std::uint32_t shard, due_position from,
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
    // The latest time from which on the damaged run is the first.
    auto low = from.at.time_since_epoch().count();
    auto high = until.time_since_epoch().count() + 1;
    while (low < high - 1) {
        const auto half = std::midpoint(low, high);
        const bool behind = co_await can_read(shard, {time_point{duration{half}}, {}}, until);
        (behind ? high : low) = half;
    }
    const auto at = std::max(from.at, time_point{duration{low}});
    // Its id: the greatest from which on it is the first of that time.
    run_id id;
    for (std::size_t bit = 0; bit < id_bits; ++bit) {
        set_bit(id, bit, true);
        const due_position probe{at, id};
        const bool behind = probe < from ? false : co_await can_read(shard, probe, until);
        if (behind)
            set_bit(id, bit, false);
    }
    const due_position damaged{at, id};
    if (damaged_.size() < max_reported && damaged_.insert(damaged).second)
        shared_.log({log_level::error, "run " + to_string(id) +
                                           " is due, and the store cannot read it; it is passed "
                                           "over until it has been repaired, with others that "
                                           "cannot be read and are due at the same time"});
    page.next = due_position{at, after(id)};
    co_return page;
}

} // namespace pawl::engine_detail
