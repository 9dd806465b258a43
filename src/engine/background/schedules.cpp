#include "engine/background/schedules.hpp"

#include "core/cron.hpp"
#include "core/schedule_plan.hpp"
#include "pawl/builder.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using detail::schedule_definition;

namespace {

constexpr std::size_t max_name = 128;
constexpr std::size_t max_catch_up = 1'000;

/// A queued slot is tried again after a tenth of the time that it has waited, within these bounds.
constexpr duration shortest_queue_poll = 1s;
constexpr duration longest_queue_poll = 30s;

/// The wait of a schedule without further slots: only a change ends it.
constexpr duration far_away = std::chrono::hours{24 * 365};

/// Stored: never change a number, a member's name or what it means.
enum class schedule_status { active = 1, suspended = 2, removed = 3 };
BOOST_DESCRIBE_ENUM(schedule_status, active, suspended, removed)

struct schedule_state {
    schedule_definition definition;
    time_point set_at;           ///< the slots of an interval are counted from here
    time_point considered;       ///< slots up to this time are in `due`, were fired or were skipped
    std::vector<time_point> due; ///< slots to fire, in order
    std::optional<time_point> next_slot;
    std::optional<time_point> last_slot;
    std::string last_run;
    std::uint64_t fired = 0;
    std::uint64_t skipped = 0;
};
BOOST_DESCRIBE_STRUCT(schedule_state, (),
                      (definition, set_at, considered, due, next_slot, last_slot, last_run, fired,
                       skipped))

using schedule_run = run<schedule_state>;

std::string text_of(time_point time)
{
    std::string text;
    codec<time_point>::encode(time, text);
    return text.substr(1, text.size() - 2); // without the quotes
}

core::cron cron_of(const schedule_state& state)
{
    return {state.definition.when, state.definition.zone, state.set_at};
}

void restart_slots(schedule_state& state, time_point now)
{
    state.set_at = state.considered = now;
    state.due.clear();
    state.next_slot = cron_of(state).next(now);
}

/// Adds the slots up to `now` to `due`, or skips them, as the catch-up rule says.
void add_due_slots(schedule_state& state, time_point now)
{
    const auto& definition = state.definition;
    auto plan = core::plan_schedule(cron_of(state), definition.catch_up, definition.catch_up_limit,
                                    state.considered, now);
    state.considered = plan.considered;
    state.next_slot = plan.next;
    state.due = std::move(plan.due);
}

using active_step = step<schedule_status::active>;

class firing {
public:
    explicit firing(fire_function fire) : fire_(std::move(fire)) {}

    active_step operator()(schedule_run& run) const
    {
        auto& state = run.object();
        if (state.due.empty()) {
            add_due_slots(state, run.now());
            // Stored before the trigger, so that a slot that cannot be fired is not lost.
            if (!state.due.empty())
                co_await run.checkpoint();
        }
        duration wait{};
        if (!state.due.empty())
            wait = co_await fire_first(run);
        if (state.due.empty())
            wait = state.next_slot ? std::max(*state.next_slot - run.now(), 0us) : far_away;
        co_return repeat_after(wait);
    }

private:
    /// Fires or skips the first due slot and removes it, or leaves it queued. Returns the time to
    /// wait before the next attempt.
    asio::awaitable<duration> fire_first(schedule_run run) const
    {
        auto& state = run.object();
        const auto slot = state.due.front();
        scheduled_trigger trigger{state.definition, state.definition.foreign_id, {}};
        if (trigger.definition.overlap == overlap_policy::allow)
            trigger.foreign_id += "/" + text_of(slot);
        trigger.key = "schedule/" + trigger.definition.name + "/" + text_of(slot);
        bool overlaps = false;
        run_id started;
        try {
            started = co_await fire_(std::move(trigger));
        } catch (const system_error& e) {
            if (e.code() != errc::already_running)
                throw;
            overlaps = true;
        }
        if (overlaps && state.definition.overlap == overlap_policy::queue)
            co_return std::clamp<duration>((run.now() - slot) / 10, shortest_queue_poll,
                                           longest_queue_poll);
        if (overlaps) {
            ++state.skipped;
        } else {
            ++state.fired;
            state.last_slot = slot;
            state.last_run = to_string(started);
        }
        state.due.erase(state.due.begin());
        co_return duration{};
    }

    fire_function fire_;
};

step<schedule_status::active> set_while_active(schedule_run& run, schedule_definition definition)
{
    // Programs set their schedules at each start: an equal definition must not move the slots.
    if (definition == run.object().definition)
        co_return skip();
    run.object().definition = std::move(definition);
    restart_slots(run.object(), run.now());
    co_return to<schedule_status::active>;
}

/// A new definition does not resume a suspended schedule.
step<schedule_status::suspended> set_while_suspended(schedule_run& run,
                                                     schedule_definition definition)
{
    if (definition == run.object().definition)
        co_return skip();
    run.object().definition = std::move(definition);
    run.object().set_at = run.now();
    co_return to<schedule_status::suspended>;
}

/// Adds a slot of this moment, which the step fires as any other.
step<schedule_status::active> fire_now(schedule_run& run)
{
    auto& due = run.object().due;
    if (due.empty() || due.back() < run.now())
        due.push_back(run.now());
    co_return to<schedule_status::active>;
}

step<schedule_status::suspended> suspend(schedule_run& run)
{
    run.object().due.clear();
    run.object().next_slot.reset();
    co_return to<schedule_status::suspended>;
}

step<schedule_status::active> resume_slots(schedule_run& run)
{
    auto& state = run.object();
    state.considered = run.now();
    state.next_slot = cron_of(state).next(run.now());
    co_return to<schedule_status::active>;
}

/// A repeated or concurrent command has no effect.
step<schedule_status::active> stay_active(schedule_run&)
{
    co_return skip();
}

step<schedule_status::suspended> stay_suspended(schedule_run&)
{
    co_return skip();
}

step<schedule_status::removed> remove(schedule_run&)
{
    co_return to<schedule_status::removed>;
}

} // namespace

std::shared_ptr<const detail::workflow_impl> make_schedules_workflow(fire_function fire)
{
    using enum schedule_status;
    builder<schedule_state, schedule_status> b{std::string{schedules_workflow}};
    b.step<active>(firing{std::move(fire)})
        .retry({.initial = 1s, .max_interval = 1min, .max_attempts = 0});
    const retry_policy once{.max_attempts = 1};
    b.callback<active>("set", set_while_active).retry(once);
    b.callback<active>("pause", suspend).retry(once);
    b.callback<suspended>("set", set_while_suspended).retry(once);
    b.callback<suspended>("resume", resume_slots).retry(once);
    b.callback<suspended>("pause", stay_suspended).retry(once);
    b.callback<active>("resume", stay_active).retry(once);
    b.callback<active>("fire", fire_now).retry(once);
    b.callback<suspended>("fire", stay_suspended).retry(once);
    b.callback<active, suspended>("remove", remove).retry(once);
    b.end<removed>();
    b.start<active>();
    return std::move(b).build().impl();
}

std::string schedule_key(std::string_view workflow, std::string_view name)
{
    return std::string{workflow} + "/" + std::string{name};
}

void check_schedule(const schedule_definition& definition)
{
    const auto refuse = [](const std::string& rule) {
        throw error{errc::invalid_argument, "schedule_options::" + rule};
    };
    if (definition.name.empty() || definition.name.size() > max_name)
        throw error{errc::invalid_argument, "a schedule's name has 1 to 128 bytes"};
    if (definition.catch_up_limit < 1 || definition.catch_up_limit > max_catch_up)
        refuse("catch_up_limit must be from 1 to 1,000");
    if (definition.foreign_id.empty() || definition.foreign_id.size() > 900)
        refuse("foreign_id must have 1 to 900 bytes");
    if (!core::cron{definition.when, definition.zone, {}}.next({}))
        refuse("when \"" + definition.when + "\" never fires");
}

std::string first_schedule_state(const schedule_definition& definition, time_point now)
{
    schedule_state state;
    state.definition = definition;
    restart_slots(state, now);
    std::string bytes;
    codec<schedule_state>::encode(state, bytes);
    return bytes;
}

schedule_info read_schedule(const record& run)
{
    const auto state = codec<schedule_state>::decode(run.object);
    const auto& definition = state.definition;
    schedule_info info;
    info.name = definition.name;
    info.workflow = definition.workflow;
    info.foreign_id = definition.foreign_id;
    info.when = definition.when;
    info.zone = definition.zone;
    info.overlap = definition.overlap;
    info.catch_up = definition.catch_up;
    info.catch_up_limit = definition.catch_up_limit;
    info.paused = run.status == static_cast<int>(schedule_status::suspended);
    info.next_slot = state.due.empty() ? state.next_slot : state.due.front();
    info.last_slot = state.last_slot;
    info.last_run = parse_run_id(state.last_run).value_or(run_id{});
    info.fired = state.fired;
    info.skipped = state.skipped;
    info.last_error = run.last_error;
    return info;
}

} // namespace pawl::engine_detail
