#pragma once

#include "pawl/client.hpp"
#include "pawl/detail/schedule_api.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

template <class Status>
struct schedule_options {
    /// When: five fields (minute, hour, day of month, month, day of week), each `*` or a list of
    /// numbers and ranges with optional steps: "*/15 9-17 * * MON-FRI". Months and days of the week
    /// may be names; 0 and 7 are Sunday; `?` is `*`. If both days are given, either is enough. Or
    /// @yearly, @monthly, @weekly, @daily, @hourly, or "@every 90s" (also 15m, 1h30m; 1 s to
    /// 10,000 h, counted from when the schedule was set).
    std::string when;

    /// The time zone of the five fields, by its name in the machine's database, such as
    /// Europe/Berlin; not a path. Default UTC. The zone's rules hold in any year. The database is
    /// read when the zone is first used: an update of it needs a restart.
    ///
    /// When clocks are changed: a time that is skipped fires when they have been changed, a time
    /// that comes twice fires the first time. A schedule for every hour (`*`) fires once in each
    /// hour that really passes.
    std::string zone = "UTC";

    /// The foreign id of the runs. Default: the schedule's name.
    std::string foreign_id{};

    /// When a slot comes while the run before it is unfinished. Default: that slot is skipped.
    overlap_policy overlap = overlap_policy::skip;

    /// What becomes of slots that passed while no engine ran. Default: they are forgotten.
    catch_up_policy catch_up = catch_up_policy::none;

    /// The most slots that catch_up_policy::all makes up for, the latest ones. 1 to 1,000.
    std::size_t catch_up_limit = 100;

    /// Where the runs begin. Default: the workflow's start.
    std::optional<Status> start{};
};

/// Schedules that start runs of one workflow. A handle like client, from which it is made.
///
/// A schedule is durable: it is itself a run, of a workflow of Pawl's named "pawl.schedules", in
/// the same store. It fires each slot once, whatever crashes, by an idempotency key made of its
/// name and the slot; slots are computed from slots, so that none drifts; and a schedule that waits
/// takes no memory and no timer. There is no filter function: let the first step look, and
/// finish().
///
/// A trigger that fails is repeated until it succeeds, 1 s to 1 min apart; schedule_info says why.
///
/// Functions complete as client's do, with the same errors for a stopped engine and a failed store.
/// Names have 1 to 128 bytes.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class schedules {
public:
    explicit schedules(client<Object, Status> target) : target_(std::move(target)) {}

    /// Makes a schedule, or changes the one of this name; with the same options and object as
    /// before, it changes nothing: call it at each start of the program. Signature:
    /// `void(error_code)`.
    ///
    /// The first slot is the first one after now, also after a change. Each run starts with a copy
    /// of `object`, which must be JSON or other UTF-8 text once it is encoded.
    ///
    /// Durability: when it completes without error, the schedule is in the store.
    ///
    /// Cancellation: none. Errors: invalid_argument (the log names the field and what is wrong with
    /// it); invalid_status; too_large; encode_failed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_set(std::string name, const Object& object, schedule_options<Status> options,
                   Token&& token = {})
    {
        detail::schedule_call call;
        call.what.name = std::move(name);
        call.what.foreign_id = std::move(options.foreign_id);
        call.what.when = std::move(options.when);
        call.what.zone = std::move(options.zone);
        call.what.overlap = options.overlap;
        call.what.catch_up = options.catch_up;
        call.what.catch_up_limit = options.catch_up_limit;
        if (options.start)
            call.what.start = static_cast<int>(*options.start);
        call.early = detail::encode_into(object, call.what.object);
        return detail::initiate<Token>(
            [](auto handler, client<Object, Status> target, detail::schedule_call what) {
                target.engine()->set_schedule(target.definition().impl(), std::move(what),
                                              detail::completion<>{std::move(handler)});
            },
            token, target_, std::move(call));
    }

    /// Reads the schedules of this workflow, by name. Signature:
    /// `void(error_code, std::vector<schedule_info>)`. Cancellation: none.
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

    /// Lets no slot fire until the schedule is resumed. Slots of the meantime are not caught up
    /// with. Signature: `void(error_code)`. Cancellation: none. Errors: not_found; already_paused.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_pause(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::pause,
                       std::forward<Token>(token));
    }

    /// As async_pause; not_paused when it is not.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_resume(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::resume,
                       std::forward<Token>(token));
    }

    /// Ends a schedule. Its runs go on. As async_pause.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_remove(std::string name, Token&& token = {})
    {
        return command(std::move(name), detail::schedule_command::remove,
                       std::forward<Token>(token));
    }

private:
    template <class Token>
    auto command(std::string name, detail::schedule_command what, Token&& token)
    {
        return detail::initiate<Token>(
            [](auto handler, client<Object, Status> target, std::string of,
               detail::schedule_command asked) {
                target.engine()->command_schedule(target.definition().name(), std::move(of), asked,
                                                  detail::completion<>{std::move(handler)});
            },
            token, target_, std::move(name), what);
    }

    client<Object, Status> target_;
};

} // namespace pawl
