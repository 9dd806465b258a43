#include "engine/run/engine_clock.hpp"

#include <algorithm>

namespace pawl::engine_detail {

time_point engine_clock::now() const
{
    const auto offset = offset_.load();
    return offset == no_offset ? machine_->now()
                               : time_point{machine_->steady() + duration{offset}};
}

boost::asio::awaitable<void> engine_clock::follow_store(record_store& store)
{
    const auto wall = machine_->now();
    const auto before = machine_->steady();
    const auto read = co_await store.now();
    const auto after = machine_->steady();
    if (!read)
        co_return;
    // The store read its clock between `before` and `after`. An offset within these bounds is kept,
    // so that the time does not jump by the duration of a call.
    const auto lower = (read->time_since_epoch() - after).count();
    const auto upper = (read->time_since_epoch() - before).count();
    const auto known = offset_.load();
    const auto present = known == no_offset ? (wall.time_since_epoch() - before).count() : known;
    offset_ = std::clamp(present, std::min(lower, upper), std::max(lower, upper));
}

} // namespace pawl::engine_detail
