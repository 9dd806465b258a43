#include "engine/waits/stall_watch.hpp"

#include "engine/run/activation.hpp"
#include "engine/run/active_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

namespace pawl::engine_detail {

std::optional<time_point> stall_watch::check_places(bool steps_wait, bool urgent_wait,
                                                    std::optional<time_point> longest_due)
{
    const auto now = shared_.clock.now();
    const auto places = shared_.active->places();
    const bool no_place =
        (steps_wait && places.free == 0) || (urgent_wait && places.reserve_is_full);
    const auto freed = urgent_wait ? places.freed_urgent : places.freed;
    const bool has_progress =
        !no_place || !no_place_ || urgent_wait != urgent_waits_ || freed != freed_ || now < since_;
    no_place_ = no_place;
    if (has_progress) {
        freed_ = freed;
        urgent_waits_ = urgent_wait;
        since_ = now;
        if (stalled_since_.exchange(0) != 0)
            shared_.log({log_level::info,
                         "the engine is no longer stalled: places for runs become free again"});
    }
    if (!no_place)
        return std::nullopt;
    if (now - since_ < stall_time)
        return since_ + stall_time;
    const bool is_new = stalled_since_ == 0;
    if (is_new || now - reported_ >= repeat_time) {
        stalled_since_ = since_.time_since_epoch().count();
        reported_ = now;
        report(now, urgent_wait, longest_due);
    }
    return reported_ + repeat_time;
}

duration stall_watch::stalled_for() const noexcept
{
    const auto since = stalled_since_.load();
    return since == 0 ? duration{} : shared_.clock.now() - time_point{duration{since}};
}

void stall_watch::report(time_point now, bool urgent_wait,
                         std::optional<time_point> longest_due) const
{
    const auto seconds = [](duration span) {
        return std::chrono::duration_cast<std::chrono::seconds>(span).count();
    };
    const auto places = shared_.active->places();
    auto text = fmt::format(
        "the engine is stalled: no place has become free for {} s. {} handlers have all of "
        "max_active_runs = {}, {} of urgent_runs = {} are taken, {} handlers wait without a "
        "place. ",
        seconds(now - since_), places.steps, shared_.max_active_runs, places.urgent,
        shared_.urgent_runs, places.waiting);
    text += describe_handlers();
    if (longest_due)
        text += fmt::format(" The longest waiting run has been due for {} s.",
                            seconds(now - *longest_due));
    text += urgent_wait ? " Messages and deadlines of other runs wait."
                        : " Messages and deadlines of other runs are processed.";
    shared_.log({log_level::warn, text});
}

/// Names the most frequent and the oldest of the running handlers.
std::string stall_watch::describe_handlers() const
{
    const auto name_of = [](const activation::running_handler& handler) {
        const auto* suffix = handler.kind == core::need::step      ? "step"
                             : handler.kind == core::need::timeout ? "timeout"
                                                                   : "callback";
        const auto& rules = handler.workflow->rules;
        return fmt::format("{} {}-{}", rules.name, rules.label(handler.status), suffix);
    };
    std::map<std::string, std::size_t> count; // in the order of names, so that the text is the same
    std::optional<activation::running_handler> oldest;
    for (const auto& run : shared_.active->all())
        if (const auto handler = run->handler_at_work()) {
            ++count[name_of(*handler)];
            if (!oldest || handler->since < oldest->since)
                oldest = handler;
        }
    if (!oldest)
        return "No handler is running.";
    const auto most =
        std::ranges::max_element(count, {}, [](const auto& entry) { return entry.second; });
    return fmt::format(
        "Most of them, {}, are {}; the oldest, {}, has run for {} s.", most->second, most->first,
        name_of(*oldest),
        std::chrono::duration_cast<std::chrono::seconds>(shared_.clock.now() - oldest->since)
            .count());
}

} // namespace pawl::engine_detail
