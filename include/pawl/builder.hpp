#pragma once

#include "pawl/attribute.hpp"
#include "pawl/callback.hpp"
#include "pawl/detail/callable.hpp"
#include "pawl/detail/compiler.hpp"
#include "pawl/detail/draft.hpp"
#include "pawl/detail/limit_field.hpp"
#include "pawl/limit.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/run.hpp"
#include "pawl/snapshot.hpp"
#include "pawl/step.hpp"
#include "pawl/step_defaults.hpp"
#include "pawl/workflow.hpp"
#include "pawl/workflow_handle.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace pawl {

/// The rules of one step, as builder::step() returns them:
/// `b.step<Created>(validate).retry({.max_attempts = 3}).max_concurrency(10);`
///
/// A reference into its builder, valid until the builder is built or destroyed. The last value
/// given for a rule counts; a rule that is not given is the workflow's, see builder::defaults().
/// builder::build() reports values out of their range.
template <class Object, class Status>
class step_options {
public:
    /// Made by builder::step().
    explicit step_options(detail::handler_options& options) noexcept : options_(&options) {}

    /// Sets how failed attempts are retried.
    step_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Sets the maximum duration of an attempt. A longer one is cancelled and counts as failed. Not
    /// negative. Zero: no limit. Default zero.
    step_options& attempt_timeout(any_duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

    /// Sets how many runs may be inside this step at a time, in one engine. At most
    /// max_concurrency_ceiling. 0: no limit. Default 0.
    step_options& max_concurrency(std::size_t runs)
        PAWL_DETAIL_REJECT(runs > max_concurrency_ceiling,
                           "max_concurrency must be from 0 to 1,000,000")
    {
        options_->max_concurrency = runs;
        return *this;
    }

    /// Lets attempts of this step begin only within a limit, which other steps of this engine may
    /// share. A step has at most max_limits_per_step; an attempt takes all of them or none.
    ///
    /// A run that waits for a limit is not in memory and takes no place of
    /// engine_options::max_active_runs. Its callbacks, timeouts and commands are served meanwhile.
    /// Runs get a limit in the order in which they became due. A run that needs several limits
    /// waits for the first one that it cannot have; after it was passed over 8 times it keeps what
    /// it can get of the others, one run at a time in an engine, so that it is not starved.
    ///
    /// An attempt counts until its handler ends. A handler that ignores its cancellation for
    /// engine_options::cancellation_grace no longer counts. A retry is another attempt.
    step_options& within(const limit& declared)
    {
        options_->limits.push_back({{declared.name(), declared.numbers(), false}, {}});
        return *this;
    }

    /// The same with a pool of its own for each key: `.within(per_merchant, &Order::merchant)`.
    ///
    /// `field` is a pointer to a member of the object, or a function of `const Object&`, of one of
    /// the types of an attribute (see builder::attribute()). The limit does not apply to a run
    /// whose key is an empty std::optional. An exception of the function fails the attempt as one
    /// of the step does. The object is decoded for each run that becomes due in the status.
    template <class Field>
    step_options& within(const limit& declared, Field field)
    {
        options_->limits.push_back({{declared.name(), declared.numbers(), true},
                                    detail::make_limit_key<Object>(std::move(field))});
        return *this;
    }

    /// Lets the keys of `field` take turns when runs wait for the limits or the max_concurrency of
    /// this step: one attempt for each key, however many of its runs wait. Within a key, runs begin
    /// in the order in which they became due. `field` as in within(); an empty std::optional is a
    /// key too. Needs a limit or max_concurrency.
    template <class Field>
    step_options& fair_by(Field field)
    {
        options_->turn_key = detail::make_limit_key<Object>(std::move(field));
        return *this;
    }

    /// Sets how long a run waits between entering the status and the first attempt of the step. Not
    /// negative. Default zero.
    step_options& start_delay(any_duration wait)
        PAWL_DETAIL_REJECT(wait < duration::zero(), "start_delay must not be negative")
    {
        options_->start_delay = wait;
        return *this;
    }

    /// Moves the run to `To` when the attempts of the step are used up. Default: the run is paused
    /// with the last error as its reason. The object is the one that was saved last.
    template <auto To>
    step_options& on_exhausted()
    {
        options_->exhausted = detail::status_number<Status, To>();
        return *this;
    }

private:
    detail::handler_options* options_;
};

/// The rules of one timeout's handler, as builder::timeout() returns them.
///
/// A reference into its builder, valid until the builder is built or destroyed. The last value
/// given for a rule counts; a rule that is not given is the workflow's, see builder::defaults().
/// When the attempts are used up, the run is paused.
class timeout_options {
public:
    /// Made by builder::timeout().
    explicit timeout_options(detail::handler_options& options) noexcept : options_(&options) {}

    /// Sets how failed attempts of the handler are retried.
    timeout_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Sets the maximum duration of an attempt. A longer one is cancelled and counts as failed. Not
    /// negative. Zero: no limit. Default zero.
    timeout_options& attempt_timeout(any_duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

private:
    detail::handler_options* options_;
};

/// The rules of one callback's handler, as builder::callback() returns them. They hold in each
/// status that the declaration names.
///
/// A reference into its builder, valid until the builder is built or destroyed. The last value
/// given for a rule counts; a rule that is not given is the workflow's, see builder::defaults().
template <class Status>
class callback_handler_options {
public:
    /// Made by builder::callback().
    explicit callback_handler_options(detail::handler_options& options) noexcept
        : options_(&options)
    {
    }

    /// Sets how failed attempts of the handler are retried. A handler that rejects messages by an
    /// exception needs `.retry({.max_attempts = 1})`, or a retry_policy::permanent that recognizes
    /// the exception.
    callback_handler_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Sets the maximum duration of an attempt. A longer one is cancelled and counts as failed. Not
    /// negative. Zero: no limit. Default zero.
    callback_handler_options& attempt_timeout(any_duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

    /// Moves the run to `To` when the attempts of the handler are used up. Default: the run stays
    /// in its status. The object is the one that was saved last.
    template <auto To>
    callback_handler_options& on_exhausted()
    {
        options_->exhausted = detail::status_number<Status, To>();
        return *this;
    }

private:
    detail::handler_options* options_;
};

/// Declares a workflow: what happens to an `Object` in each `Status`.
///
/// @code
/// pawl::builder<Order, OrderStatus> b{"order-processing"};
/// b.step<Created>(validate_order).retry({.initial = 5s, .multiplier = 1, .max_attempts = 3});
/// b.callback<Created, Validated>("cancel", cancelled_by_customer);
/// b.timeout<PaymentProcessing>(5min, payment_timed_out);
/// b.end<Fulfilled, Refunded>();
/// b.on_complete(report).on_pause(alert);
/// pawl::workflow<Order, OrderStatus> orders = std::move(b).build();
/// @endcode
///
/// The graph is derived from the handlers' return types (pawl::step). `Object` has a codec and a
/// default constructor. `Status` is an enum; its numbers are stored, and its names, if it is
/// described with BOOST_DESCRIBE_ENUM, are used in diagrams and messages.
///
/// Handlers are functions, functors and lambdas. They are moved into the workflow, live as long as
/// any copy of it, and are called as const, concurrently for different runs, from threads of the
/// engine's executor. A lambda with captures may itself be a coroutine; what it captures by
/// reference must outlive the engines.
///
/// build() reports all mistakes that the compiler cannot find. Clang also rejects constant options
/// that are out of their range.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
template <class Object, class Status>
class builder {
    static_assert(std::is_enum_v<Status>, "a workflow's Status is an enum");
    static_assert(codable<Object>, "Pawl has no codec for the workflow's Object: describe it with "
                                   "BOOST_DESCRIBE_STRUCT, or specialise pawl::codec");
    static_assert(
        std::is_default_constructible_v<Object>,
        "a workflow's Object has a default constructor: Pawl reads into such a value, and "
        "leaves one behind when data is deleted");

public:
    using run_type = run<Object>;
    using snapshot_type = snapshot<Object, Status>;

    /// Begins a workflow. `name` is stored with each run and has 1 to 128 letters, digits, '-', '_'
    /// and '.'.
    explicit builder(std::string name)
    {
        draft_.name = std::move(name);
        draft_.label = &label;
        draft_.impl.decode = [](std::string_view bytes,
                                std::string* ignored) -> detail::object_ptr {
            return std::make_shared<Object>(detail::decode_object<Object>(bytes, ignored));
        };
        draft_.impl.encode = [](const detail::object_ptr& object, std::string& out) {
            codec<Object>::encode(*static_cast<const Object*>(object.get()), out);
        };
        draft_.impl.blank = [] {
            std::string bytes;
            codec<Object>::encode(Object{}, bytes);
            return bytes;
        };
        if constexpr (detail::upgradable<Object>)
            for (std::uint32_t version = 1; version < schema<Object>::version; ++version)
                upgrade(version, [version](boost::json::value& document) {
                    schema<Object>::upgrade(version, document);
                });
        else
            static_assert(schema<Object>::version == 1,
                          "a pawl::schema above version 1 has static void upgrade(std::uint32_t "
                          "from, boost::json::value& document)");
    }

    /// The same with the name and the types of a handle: `pawl::builder b{parcels};`.
    explicit builder(const workflow_handle<Object, Status>& handle) : builder(handle.name()) {}

    /// Declares that handlers of this workflow reach runs of another one, see run::send() and
    /// run::start().
    ///
    /// An engine that has this workflow must have the other one too: otherwise engine::async_start
    /// fails with errc::missing_workflow. A workflow declares itself if its handlers start runs of
    /// it; to send callbacks it need not. Keep a declaration in later programs while runs have
    /// unfinished children: a cancelled run of a workflow without declarations cancels no child.
    template <class OtherObject, class OtherStatus>
    builder& uses(const workflow_handle<OtherObject, OtherStatus>& other)
    {
        draft_.uses.push_back({other.name(), false});
        return *this;
    }

    /// The same for a workflow that only other engines of a shared store have, for example in
    /// another program. An engine that has it as well may be started.
    ///
    /// Its runs get callbacks, but cannot be started: that needs the definition, see the overload.
    /// The engine cannot check that the workflow declares a callback. A callback that it does not
    /// declare waits in the inbox of the run until the run finishes.
    template <class OtherObject, class OtherStatus>
    builder& uses_foreign(const workflow_handle<OtherObject, OtherStatus>& other)
    {
        draft_.uses.push_back({other.name(), true});
        return *this;
    }

    /// The same with the definition of the workflow, so that handlers can start runs of it: another
    /// engine drives them.
    template <class OtherObject, class OtherStatus>
    builder& uses_foreign(const workflow<OtherObject, OtherStatus>& other)
    {
        draft_.uses.push_back({other.name(), true});
        draft_.impl.foreign_workflows[other.name()] = other.impl();
        return *this;
    }

    /// Declares what a run does by itself in status `From`.
    ///
    /// `fn(run<Object>&)` returns a pawl::step<…> that lists where the run may go. A status has at
    /// most one step.
    template <auto From, class Fn>
    step_options<Object, Status> step(Fn fn)
    {
        auto& steps = draft_.handled(detail::status_number<Status, From>()).steps;
        auto& added = *steps.emplace_back(std::make_unique<detail::step_draft>());
        if constexpr (check_handler<Fn, run_type&>()) {
            added.destinations = destinations_of<Fn, run_type&>();
            added.run = detail::make_handler<Object, Fn>(keep(std::move(fn)));
        }
        return step_options<Object, Status>{added.options};
    }

    /// Declares what a callback, sent by a client under `name`, does to a run in `From` or one of
    /// `More`.
    ///
    /// `fn(run<Object>&, Payload)` or `fn(run<Object>&)` returns a pawl::step<…>. Payload has a
    /// codec, is taken by value or const reference, and is deduced from the signature: `fn` must
    /// have one call operator that is not a template. `name` has 1 to 128 bytes. A message that
    /// arrives before the run can take it waits in the run's inbox.
    ///
    /// A failed attempt is retried by the rules given here or the workflow's defaults, also after a
    /// restart. Meanwhile the message stays in the inbox and later callbacks wait; commands,
    /// deadlines and the step do not. A message whose attempts are used up, whose error is
    /// permanent, or whose payload cannot be read is settled as failed, with the error as its
    /// detail, and put into callback_dead_letter_topic() in the same commit. Its idempotency key
    /// can then be used again.
    template <auto From, auto... More, class Fn>
    callback_handler_options<Status> callback(const std::string& name, Fn fn)
    {
        const auto options = std::make_shared<detail::handler_options>();
        if constexpr (std::is_invocable_v<const Fn&, run_type&>) {
            add_callback<void, From, More...>(name, std::move(fn), options);
        } else {
            static_assert(detail::has_second_parameter<Fn>,
                          "a callback is called as fn(pawl::run<Object>&) or fn(pawl::run<Object>&,"
                          " Payload), with one const call operator that is no template");
            if constexpr (detail::has_second_parameter<Fn>)
                add_callback<detail::payload_of<Fn>, From, More...>(name, std::move(fn), options);
        }
        return callback_handler_options<Status>{*options};
    }

    /// The same with the name and the payload type of a callback<Payload>, which the program's
    /// clients use too: a handler with another payload does not compile.
    template <auto From, auto... More, class Payload, class Fn>
    callback_handler_options<Status> callback(const pawl::callback<Payload>& declaration, Fn fn)
    {
        const auto options = std::make_shared<detail::handler_options>();
        constexpr bool fits = std::is_void_v<Payload>
                                  ? std::is_invocable_v<const Fn&, run_type&>
                                  : std::is_invocable_v<const Fn&, run_type&, Payload>;
        static_assert(fits, "this handler does not take the payload of its callback");
        if constexpr (fits)
            add_callback<Payload, From, More...>(declaration.name(), std::move(fn), options);
        return callback_handler_options<Status>{*options};
    }

    /// Declares what happens when a run has been in status `From` for too long.
    ///
    /// A status may have several timeouts. Each is armed when a run enters the status and dropped
    /// when it leaves. `when` is one of
    /// - a duration above zero;
    /// - a time point;
    /// - a function `std::optional<time_point>(const run<Object>&)`, called when a run enters the
    ///   status; empty arms nothing.
    ///
    /// A time that has passed is due at once. `fn(run<Object>&)` returns a pawl::step<…>. A
    /// deadline that passes cancels a running step of the status.
    ///
    /// `name` has 1 to 128 bytes, is unique in the status, and is stored with each deadline: the
    /// handler of the timeout with that name is called, also in a later program. A stored deadline
    /// without a timeout is dropped and logged. A timeout that is added later is armed for runs
    /// that enter the status from then on. build() refuses two names of one status with the same
    /// hash (see run::idempotency_key()).
    template <auto From, class When, class Fn>
    timeout_options timeout(std::string name, When when, Fn fn)
        PAWL_DETAIL_REJECT(detail::is_no_span(when), "a timeout's duration must be above zero")
    {
        return add_timeout<From>(std::move(name), std::move(when), std::move(fn));
    }

    /// The same for the only timeout of a status; its name is "timeout".
    template <auto From, class When, class Fn>
    timeout_options timeout(When when, Fn fn)
        PAWL_DETAIL_REJECT(detail::is_no_span(when), "a timeout's duration must be above zero")
    {
        return add_timeout<From>(std::string{}, std::move(when), std::move(fn));
    }

    /// Declares statuses in which a run is completed. They have no step, callback or timeout.
    template <auto... Statuses>
    builder& end()
    {
        ((draft_.statuses[detail::status_number<Status, Statuses>()].end = true), ...);
        return *this;
    }

    /// Declares statuses in which a run may begin. The first one is where a trigger begins by
    /// default. Statuses that no other status leads to are starts without being declared.
    template <auto... Statuses>
    builder& start()
    {
        (draft_.starts.push_back(detail::status_number<Status, Statuses>()), ...);
        return *this;
    }

    /// Calls `fn` after each run that completed.
    ///
    /// `fn` is `boost::asio::awaitable<void>(const snapshot<Object, Status>&)`, or takes a `const
    /// event&` before the snapshot. The snapshot shows the run at the event: its status, state,
    /// reason and times are the event's even if the run has changed since. Only the object is the
    /// one that is stored now.
    ///
    /// Hooks are fed from the event log: a crash loses none, and a hook may be called again after
    /// one. Hooks for one event are called in the order of their declaration, the events of a run
    /// in their order. A throwing hook is retried under engine_options::hook_retry without delaying
    /// runs or other runs' hooks; when its attempts are used up, the event goes to
    /// hook_dead_letter_topic() and the failure is logged.
    ///
    /// The read position of a hook is stored under the name of this function. A second hook for the
    /// same event needs a name of its own, see the overload. A new hook is called for events that
    /// are committed after the first start of an engine that has it, see hooks_from_beginning(). A
    /// hook that a program no longer has continues at its position when a later program has it
    /// again.
    template <class Fn>
    builder& on_complete(Fn fn)
    {
        return add_hook("on_complete", {event_kind::completed}, std::move(fn));
    }

    /// The same for a further hook; its read position is stored under `name`, of 1 to 128 bytes:
    /// `b.on_complete("mail", send_mail)`.
    template <class Fn>
    builder& on_complete(const std::string& name, Fn fn)
    {
        return add_hook("on_complete/" + name, {event_kind::completed}, std::move(fn));
    }

    /// Calls `fn` after each accepted trigger. See on_complete() for hooks in general.
    template <class Fn>
    builder& on_start(Fn fn)
    {
        return add_hook("on_start", {event_kind::started}, std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <class Fn>
    builder& on_start(const std::string& name, Fn fn)
    {
        return add_hook("on_start/" + name, {event_kind::started}, std::move(fn));
    }

    /// Calls `fn` after each pause; the snapshot's `reason` holds its reason. See on_complete() for
    /// hooks in general.
    template <class Fn>
    builder& on_pause(Fn fn)
    {
        return add_hook("on_pause", {event_kind::paused}, std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <class Fn>
    builder& on_pause(const std::string& name, Fn fn)
    {
        return add_hook("on_pause/" + name, {event_kind::paused}, std::move(fn));
    }

    /// Calls `fn` after each resume, requested or automatic. See on_complete() for hooks in
    /// general.
    template <class Fn>
    builder& on_resume(Fn fn)
    {
        return add_hook("on_resume", {event_kind::resumed}, std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <class Fn>
    builder& on_resume(const std::string& name, Fn fn)
    {
        return add_hook("on_resume/" + name, {event_kind::resumed}, std::move(fn));
    }

    /// Calls `fn` after each run that was cancelled. See on_complete() for hooks in general.
    template <class Fn>
    builder& on_cancel(Fn fn)
    {
        return add_hook("on_cancel", {event_kind::cancelled}, std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <class Fn>
    builder& on_cancel(const std::string& name, Fn fn)
    {
        return add_hook("on_cancel/" + name, {event_kind::cancelled}, std::move(fn));
    }

    /// Calls `fn` after the data of a run was deleted; the snapshot's object is what the scrubber
    /// left. See on_complete() for hooks in general.
    template <class Fn>
    builder& on_data_deleted(Fn fn)
    {
        return add_hook("on_data_deleted", {event_kind::data_deleted}, std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <class Fn>
    builder& on_data_deleted(const std::string& name, Fn fn)
    {
        return add_hook("on_data_deleted/" + name, {event_kind::data_deleted}, std::move(fn));
    }

    /// Calls `fn` each time that a run enters one of `Statuses`, also by its trigger. A status that
    /// is added to the list later counts for runs that enter it from then on. See on_complete() for
    /// hooks in general.
    template <auto... Statuses, class Fn>
    builder& on_enter(Fn fn)
    {
        return add_enter_hook<Statuses...>("on_enter", std::move(fn));
    }

    /// The same for a further hook, under a name of 1 to 128 bytes.
    template <auto... Statuses, class Fn>
    builder& on_enter(const std::string& name, Fn fn)
    {
        return add_enter_hook<Statuses...>("on_enter/" + name, std::move(fn));
    }

    /// Lets new hooks begin with the oldest event in the log, so that they are called for past
    /// events too.
    ///
    /// Default: a new hook begins with the events that are committed after the first start of an
    /// engine that has it. The hooks of a workflow that has not driven a run yet begin at the
    /// beginning in any case.
    builder& hooks_from_beginning()
    {
        draft_.impl.hooks_from_beginning = true;
        return *this;
    }

    /// Sets the rules of handlers that are given none of their own, also of handlers declared
    /// before this call.
    builder& defaults(step_defaults rules)
    {
        draft_.defaults = std::move(rules);
        return *this;
    }

    /// Sets after which time a run that is paused by an error resumes by itself, and how often in a
    /// row without progress. Neither is negative. A time of zero: never. Default: 1 h, 3 times.
    builder& auto_resume(any_duration after, int max_times)
        PAWL_DETAIL_REJECT(after < duration::zero(), "auto_resume: the time is negative")
            PAWL_DETAIL_REJECT(max_times < 0, "auto_resume: the number of times is negative")
    {
        draft_.resume_after = after;
        draft_.max_auto_resumes = max_times;
        return *this;
    }

    /// Converts a stored object from `version` of its schema to the next version.
    ///
    /// Needed only when the tolerant reader of pawl::codec cannot handle a change.
    /// `up(boost::json::value&)` edits the document; for another codec, `std::string
    /// up(std::string)` converts the bytes. The first version is 1, and each version but the
    /// present one needs its upgrade: with upgrades from 1 and 2, the present version is 3.
    /// Upgrades are applied when a run is read. The run is stored in the present version by its
    /// next commit that saves the object.
    ///
    /// A program that is older than a run's object leaves the run alone: no attempt and no message
    /// is used up, and the run continues when an engine with the newer program drives it.
    template <class Up>
    builder& upgrade(std::uint32_t version, Up up)
    {
        if (!draft_.upgrades.emplace(version, conversion(std::move(up))).second)
            draft_.repeated_upgrades.push_back(version);
        return *this;
    }

    /// The same with the conversion back, `down`, from the next version to `version`, which
    /// write_version() needs.
    template <class Up, class Down>
    builder& upgrade(std::uint32_t version, Up up, Down down)
    {
        draft_.downgrades.emplace(version, conversion(std::move(down)));
        return upgrade(version, std::move(up));
    }

    /// Stores objects in this older version of their schema, while all versions are read. Default:
    /// the present version.
    ///
    /// For a rolling deployment: first deploy a program that knows the new version and writes the
    /// old one, which the running engines can read; when all engines have it, deploy the program
    /// without this line. Each version from `version` up to the one before the present needs an
    /// upgrade() with a conversion back. What the old version cannot hold is lost when the object
    /// is stored.
    builder& write_version(std::uint32_t version)
    {
        draft_.write_version = version;
        return *this;
    }

    /// Removes status number `old`: its runs continue in `To`, as if they had just entered it.
    ///
    /// An engine moves them when it starts, before anything else. A paused run stays paused, unless
    /// `To` is an end.
    template <auto To>
    builder& replace_status(int old)
    {
        draft_.retired.emplace_back(old, detail::status_number<Status, To>());
        return *this;
    }

    /// Declares that the label of status `Now` was `old` in an earlier program and that its meaning
    /// is the same.
    ///
    /// Statuses are stored by number, and the labels of all numbers are stored with the workflow. A
    /// number with another label is most often an enumerator that was inserted, and runs would be
    /// in the wrong status; engine::async_start therefore fails with errc::status_relabeled unless
    /// the new label is declared here.
    template <auto Now>
    builder& renamed(std::string old)
    {
        draft_.renamed.emplace_back(detail::status_number<Status, Now>(), std::move(old));
        return *this;
    }

    /// Removes finished runs with their history after they have been kept for a while. Default:
    /// they are kept forever.
    ///
    /// Runs are removed in the background, the oldest first, after their hooks have been called. A
    /// removed run is forgotten: its idempotency key and id_reuse_policy::reject_duplicate no
    /// longer know it.
    builder& retention(retention_options rules)
    {
        draft_.impl.retention = std::move(rules);
        return *this;
    }

    /// Declares an attribute: a value of the object by which client::async_list() finds runs, see
    /// record_query::attributes.
    ///
    /// `field` is a pointer to a member, or a function of `const Object&`. Its result is a text, an
    /// integer, a bool, an enum, a std::chrono::sys_time, or a std::optional of one of these; a run
    /// without a value is not found by the attribute. An enum that is described with
    /// BOOST_DESCRIBE_ENUM is a text, its name. Times are rounded down to microseconds. `name` has
    /// 1 to 128 bytes; a workflow has at most 8 attributes.
    ///
    /// The values are stored in the commit that saves the object, and only if they have changed.
    /// They are removed with the data of the run. A text of more than 1,024 bytes is refused as an
    /// object that is too large: a trigger fails with errc::too_large, a handler's attempt fails
    /// and is not retried.
    ///
    /// Runs that exist when a program first has the attribute get its values with their next
    /// commit; client::async_fill_attributes() gives them to the others. The values of an attribute
    /// that a program no longer has cannot be searched for; they are removed with the next commit
    /// of the run, or by async_fill_attributes().
    template <class Field>
    builder& attribute(std::string name, Field field)
    {
        return add_attribute<void>(std::move(name), std::move(field));
    }

    /// The same with the name and the type of a pawl::attribute, which the program's queries use
    /// too: a field of another type does not compile.
    template <class T, class Field>
    builder& attribute(const pawl::attribute<T>& declaration, Field field)
    {
        return add_attribute<T>(declaration.name(), std::move(field));
    }

    /// Sets how personal data is removed from a run's object when client::async_delete_data asks
    /// for it: `fn(Object&)`.
    ///
    /// By default, and whenever `fn` throws, the object cannot be read, or what is left has more
    /// than engine_options::max_object_size, the object is replaced by a default-constructed one,
    /// so that the data is always removed; build() checks that such an object can be encoded. If
    /// that fails at run time too, the document {} is stored. Failures are logged as errors.
    template <class Fn>
    builder& scrub(Fn fn)
    {
        constexpr bool fits = std::is_invocable_v<const Fn&, Object&>;
        static_assert(fits, "scrub is called as fn(Object&), with a const call operator");
        if constexpr (fits)
            draft_.impl.scrub = [kept = keep(std::move(fn))](std::string_view stored) {
                Object object = detail::decode_object<Object>(stored);
                (*kept)(object);
                std::string bytes;
                codec<Object>::encode(object, bytes);
                return bytes;
            };
        return *this;
    }

    /// Checks the declarations and returns the workflow: `std::move(b).build()`.
    ///
    /// @throws definition_error with a list of all problems, each with the status's name and
    ///     number: a name that is empty, too long or used twice, an option out of its range, a
    ///     status that runs reach but cannot leave, or that no run can reach, no status to start
    ///     in.
    workflow<Object, Status> build() &&
    {
        return workflow<Object, Status>{detail::finish(std::move(draft_))};
    }

private:
    static std::string label(int status)
    {
        if constexpr (boost::describe::has_describe_enumerators<Status>::value) {
            const char* name = nullptr;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<Status>>(
                [&](auto enumerator) {
                    if (static_cast<int>(enumerator.value) == status)
                        name = enumerator.name;
                });
            if (name)
                return name;
        }
        return std::to_string(status);
    }

    template <class Fn>
    static detail::kept<Fn> keep(Fn fn)
    {
        return std::make_shared<const Fn>(std::move(fn));
    }

    template <class Fn>
    static std::function<std::string(std::string)> conversion(Fn fn)
    {
        if constexpr (std::is_invocable_r_v<std::string, const Fn&, std::string>) {
            return [kept = keep(std::move(fn))](std::string stored) {
                return (*kept)(std::move(stored));
            };
        } else {
            constexpr bool fits = std::is_invocable_v<const Fn&, boost::json::value&>;
            static_assert(fits, "an upgrade is called as fn(boost::json::value&), or as "
                                "std::string fn(std::string), with a const call operator");
            if constexpr (fits)
                return detail::make_upgrade(
                    [kept = keep(std::move(fn))](boost::json::value& document) {
                        (*kept)(document);
                    });
            else
                return {};
        }
    }

    template <class Fn, class... Arguments>
    static consteval bool check_handler()
    {
        constexpr bool callable = std::is_invocable_v<const Fn&, Arguments...>;
        static_assert(callable, "steps and timeout handlers are called as fn(pawl::run<Object>&), "
                                "callbacks with their payload besides; the call operator is const");
        if constexpr (callable) {
            constexpr bool returns = detail::is_step<std::invoke_result_t<const Fn&, Arguments...>>;
            static_assert(returns, "a handler returns pawl::step<...> with the statuses that it "
                                   "may move its run to");
            return returns;
        } else {
            return false;
        }
    }

    template <class Fn, class... Arguments>
    static std::vector<int> destinations_of()
    {
        using result = std::invoke_result_t<const Fn&, Arguments...>;
        return detail::destinations<Status, result>::list();
    }

    template <auto From, class When, class Fn>
    timeout_options add_timeout(std::string name, When when, Fn fn)
    {
        auto& timeouts = draft_.handled(detail::status_number<Status, From>()).timeouts;
        auto& added = *timeouts.emplace_back(std::make_unique<detail::timeout_draft>());
        added.name = std::move(name);
        if constexpr (std::is_convertible_v<When, any_duration>) {
            added.fixed = any_duration{when};
            added.handler.due = detail::make_timer(*added.fixed);
        } else if constexpr (std::is_convertible_v<When, time_point>) {
            added.handler.due = detail::make_timer(static_cast<time_point>(when));
        } else {
            constexpr bool fits =
                std::is_invocable_r_v<std::optional<time_point>, const When&, const run_type&>;
            static_assert(fits, "a timeout is due after a duration, at a time_point, or at what a "
                                "function std::optional<pawl::time_point>(const "
                                "pawl::run<Object>&) returns");
            if constexpr (fits)
                added.handler.due = detail::make_timer<Object, When>(keep(std::move(when)));
        }
        if constexpr (check_handler<Fn, run_type&>()) {
            added.destinations = destinations_of<Fn, run_type&>();
            added.handler.run = detail::make_handler<Object, Fn>(keep(std::move(fn)));
        }
        return timeout_options{added.options};
    }

    template <class Payload, auto... From, class Fn>
    void add_callback(const std::string& name, Fn fn,
                      const std::shared_ptr<detail::handler_options>& options)
    {
        if constexpr (std::is_void_v<Payload>) {
            if constexpr (check_handler<Fn, run_type&>())
                store_callbacks<Payload, From...>(name, destinations_of<Fn, run_type&>(),
                                                  keep(std::move(fn)), options);
        } else {
            static_assert(codable<Payload>,
                          "Pawl has no codec for this callback's payload: describe it with "
                          "BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM, or specialise "
                          "pawl::json_codec");
            if constexpr (schema<Payload>::version != 1)
                draft_.impl.payload_versions[name] = schema<Payload>::version;
            if constexpr (codable<Payload> && check_handler<Fn, run_type&, Payload>())
                store_callbacks<Payload, From...>(name, destinations_of<Fn, run_type&, Payload>(),
                                                  keep(std::move(fn)), options);
        }
    }

    template <class Payload, auto... From, class Fn>
    void store_callbacks(const std::string& name, const std::vector<int>& destinations,
                         const detail::kept<Fn>& fn,
                         const std::shared_ptr<detail::handler_options>& options)
    {
        (draft_.handled(detail::status_number<Status, From>())
             .callbacks.push_back(
                 {name, detail::make_callback<Object, Payload, Fn>(fn), destinations, options}),
         ...);
    }

    /// @tparam T the type that was declared; void: any.
    template <class T, class Field>
    builder& add_attribute(std::string name, Field field)
    {
        constexpr bool readable = std::is_invocable_v<const Field&, const Object&>;
        static_assert(readable, "an attribute is a pointer to a member of the Object, or a "
                                "function of const Object& with a const call operator");
        if constexpr (readable) {
            using read = detail::attribute_field<
                std::decay_t<std::invoke_result_t<const Field&, const Object&>>>;
            using type = typename read::type;
            constexpr bool supported = detail::attribute_type<type>;
            static_assert(supported, "an attribute is a text, an integer (of 64 bits with a sign, "
                                     "or smaller), a bool, an enum, a std::chrono::sys_time, or a "
                                     "std::optional of one of these");
            constexpr bool fits = std::is_void_v<T> || detail::comparable_attribute<T, type>;
            static_assert(fits, "this field is not of the type of its pawl::attribute");
            if constexpr (supported && fits)
                draft_.attributes.push_back(
                    {{std::move(name), detail::attribute_kind_of<type>()},
                     [kept = keep(std::move(field))](const detail::object_ptr& object) {
                         return read::read(
                             std::invoke(*kept, *static_cast<const Object*>(object.get())));
                     }});
        }
        return *this;
    }

    template <auto... Statuses, class Fn>
    builder& add_enter_hook(std::string name, Fn fn)
    {
        static_assert(sizeof...(Statuses) > 0, "on_enter needs a status: b.on_enter<Paid>(fn)");
        return add_hook(std::move(name),
                        {event_kind::started, event_kind::moved, event_kind::moved_by_command,
                         event_kind::completed},
                        std::move(fn), {detail::status_number<Status, Statuses>()...});
    }

    template <class Fn>
    builder& add_hook(std::string name, std::vector<event_kind> kinds, Fn function,
                      std::vector<int> entering = {})
    {
        const auto fn = keep(std::move(function));
        using result = boost::asio::awaitable<void>;
        constexpr bool plain = std::is_invocable_r_v<result, const Fn&, const snapshot_type&>;
        constexpr bool with_event =
            std::is_invocable_r_v<result, const Fn&, const event&, const snapshot_type&>;
        static_assert(plain || with_event,
                      "a hook is boost::asio::awaitable<void>(const pawl::snapshot<Object, "
                      "Status>&), or takes a const pawl::event& before that; its call operator is "
                      "const");
        if constexpr (plain || with_event)
            draft_.impl.hooks.push_back(
                {std::move(name), std::move(kinds), std::move(entering),
                 [fn](const event& committed, const record& stored) {
                     auto seen = detail::make_snapshot<Object, Status>(
                         stored, detail::decode_object<Object>(stored.object));
                     if constexpr (with_event)
                         return detail::call_hook<snapshot_type, Fn>(fn, committed,
                                                                     std::move(seen));
                     else
                         return detail::call_hook<snapshot_type, Fn>(fn, std::move(seen));
                 }});
        return *this;
    }

    detail::workflow_draft draft_;
};

} // namespace pawl
