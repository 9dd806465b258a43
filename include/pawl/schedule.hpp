#pragma once

#include "pawl/client.hpp"
#include "pawl/detail/schedule_api.hpp"
#include "pawl/schedule_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

/// Options of schedules::async_set().
template <class Status>
struct schedule_options {
    /// When the schedule fires. Required. One of
    /// - five fields (minute, hour, day of month, month, day of week), each `*` or a list of
    ///   numbers and ranges with optional steps: "*/15 9-17 * * MON-FRI". Months and days of the
    ///   week may be names; 0 and 7 are Sunday; `?` is `*`. If both days are given, either is
    ///   enough;
    /// - @yearly, @monthly, @weekly, @daily, @hourly;
    /// - "@every 90s" (also 15m, 1h30m), 1 s to 10,000 h, counted from when the schedule was set.
    std::string when;

    /// The time zone of the five fields, by its name in the machine's time zone database, such as
    /// Europe/Berlin; not a path. The zone's rules hold in any year. The database is read when the
    /// zone is first used: an update needs a restart. Default UTC.
    ///
    /// When clocks change, a time that is skipped fires right after the change, and a time that
    /// occurs twice fires the first time. A schedule for every hour (`*`) fires once in each hour
    /// that passes.
    std::string zone = "UTC";

    /// The foreign id of the runs. 1 to 900 bytes. Default: empty, the schedule's name.
    std::string foreign_id{};

    /// What happens when a slot comes while the last run is unfinished. Default: the slot is
    /// skipped.
    overlap_policy overlap = overlap_policy::skip;

    /// What happens to slots that passed while no engine ran. Default: they are dropped.
    catch_up_policy catch_up = catch_up_policy::none;

    /// Maximum number of slots that catch_up_policy::all fires; the latest ones. 1 to 1,000.
    /// Default 100.
    std::size_t catch_up_limit = 100;

    /// The status in which the runs begin. Default: the workflow's start.
    std::optional<Status> start{};
};

/// Schedules that start runs of one workflow. A handle like client, from which it is made.
///
/// A schedule is durable: it is itself a run, of the workflow "pawl.schedules", in the same store.
/// Each slot fires once, even after a crash, by an idempotency key made of the schedule's name and
/// the slot. Slots are computed from slots, so they do not drift. A schedule that waits needs no
/// memory and no timer. To skip a slot by a condition of your own, let the first step check it and
/// finish().
///
/// A trigger that fails is retried after 1 s, with a growing interval of up to 1 min, until it
/// succeeds; schedule_info::last_error holds the error.
///
/// Functions named async_… take a completion token and complete as those of client do. A schedule's
/// name has 1 to 128 bytes. Every operation can also fail with not_running (the engine was not
/// started, or has been stopped) and with a store_* code (the store failed).
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class schedules {
public:
    /// Manages the schedules of the client's workflow.
    explicit schedules(client<Object, Status> target) : target_(std::move(target)) {}

    /// Makes a schedule, or changes the schedule of this name. With the same options and object it
    /// changes nothing, so call it at each start of the program.
    ///
    /// The first slot is the first one after now, also after a change. A paused schedule stays
    /// paused. Each run starts with a copy of `object`, whose encoded form must be JSON or other
    /// UTF-8 text.
    ///
    /// Completes: when the schedule is stored. Signature: `void(error_code)`.
    /// Durability: when it completes without error, the schedule fires even if this process dies.
    /// Errors: invalid_argument — the name or an option is out of its range; invalid_status — no
    /// run can start in `start`; too_large — the object has more than
    /// engine_options::max_object_size; encode_failed — the codec cannot write the object.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_set(std::string name, const Object& object, schedule_options<Status> options,
                   Token&& token = {})
    {
        detail::schedule_call call;
        call.definition.name = std::move(name);
        call.definition.foreign_id = std::move(options.foreign_id);
        call.definition.when = std::move(options.when);
        call.definition.zone = std::move(options.zone);
        call.definition.overlap = options.overlap;
        call.definition.catch_up = options.catch_up;
        call.definition.catch_up_limit = options.catch_up_limit;
        if (options.start)
            call.definition.start = static_cast<int>(*options.start);
        call.early = detail::encode_into(object, call.definition.object);
        return detail::initiate<Token>(
            [](auto handler, client<Object, Status> target, detail::schedule_call request) {
                target.engine()->set_schedule(target.definition().impl(), std::move(request),
                                              detail::completion<>{std::move(handler)});
            },
            token, target_, std::move(call));
    }

    /// Reads the schedules of this workflow, sorted by name.
    ///
    /// Signature: `void(error_code, std::vector<schedule_info>)`.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(Token&& token = {})
    {
        return detail::initiate<Token, std::vector<schedule_info>>(
            [](auto handler, client<Object, Status> target) {
                target.engine()->list_schedules(
                    target.definition().name(),
                    detail::completion<std::vector<schedule_info>>{std::move(handler)});
            },
            token, target_);
    }

    /// Stops a schedule from firing until it is resumed. Slots that pass meanwhile are dropped.
    ///
    /// Completes: when the pause is stored. Signature: `void(error_code)`.
    /// Errors: not_found — no such schedule; already_paused — it is paused.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_pause(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::pause,
                       std::forward<Token>(token));
    }

    /// Lets a paused schedule fire again, from the first slot after now.
    ///
    /// Completes: when the resume is stored. Signature: `void(error_code)`.
    /// Errors: not_found — no such schedule; not_paused — it is not paused.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_resume(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::resume,
                       std::forward<Token>(token));
    }

    /// Removes a schedule. Runs that it has started continue.
    ///
    /// Completes: when the removal is stored. Signature: `void(error_code)`.
    /// Errors: not_found — no such schedule.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_remove(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::remove,
                       std::forward<Token>(token));
    }

private:
    template <class Token>
    auto command(std::string name, detail::schedule_command action, Token&& token)
    {
        return detail::initiate<Token>(
            [](auto handler, client<Object, Status> target, std::string schedule,
               detail::schedule_command requested) {
                target.engine()->command_schedule(target.definition().name(), std::move(schedule),
                                                  requested,
                                                  detail::completion<>{std::move(handler)});
            },
            token, target_, std::move(name), action);
    }

    client<Object, Status> target_;
};

} // namespace pawl
