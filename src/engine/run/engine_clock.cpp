#include "engine/run/engine_clock.hpp"

#include "core/planted.hpp"

#include <algorithm>

namespace pawl::engine_detail {

time_point engine_clock::now() const
{
    const auto ahead = from_steady_.load();
    return ahead == not_yet ? machine_->now() : time_point{machine_->steady() + duration{ahead}};
}

boost::asio::awaitable<void> engine_clock::follow_store(record_store& store)
{
    const auto wall = machine_->now();
    const auto before = machine_->steady();
    const auto read = co_await store.now();
    const auto after = machine_->steady();
    if (!read || PAWL_PLANTED(store_clock_ignored))
        co_return;
    // It was read at some moment between the two. While the present time agrees with that it is
    // kept, so that time does not jump to and fro by what a call takes.
    const auto least = (read->time_since_epoch() - after).count();
    const auto most = (read->time_since_epoch() - before).count();
    const auto known = from_steady_.load();
    const auto present = known == not_yet ? (wall.time_since_epoch() - before).count() : known;
    from_steady_ = std::clamp(present, std::min(least, most), std::max(least, most));
}

} // namespace pawl::engine_detail
