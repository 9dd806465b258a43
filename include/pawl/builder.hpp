#pragma once

#include "pawl/callback.hpp"
#include "pawl/detail/callable.hpp"
#include "pawl/detail/compiler.hpp"
#include "pawl/detail/draft.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/run.hpp"
#include "pawl/snapshot.hpp"
#include "pawl/step.hpp"
#include "pawl/workflow.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <cstddef>
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
/// A reference into its builder, valid until that is built or destroyed. A rule given twice is the
/// last one; a rule that is not given is the workflow's, see builder::defaults().
template <class Status>
class step_options {
public:
    explicit step_options(detail::handler_options& options) noexcept : options_(&options) {}

    /// How failed attempts are repeated.
    step_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Cancels an attempt that takes longer, and counts it as failed. Zero: no limit.
    step_options& attempt_timeout(any_duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

    /// How many runs may be inside this step at a time, in one engine. 0: no limit. At most
    /// max_concurrency_ceiling.
    step_options& max_concurrency(std::size_t runs)
        PAWL_DETAIL_REJECT(runs > max_concurrency_ceiling,
                           "max_concurrency must be from 0 to 1,000,000")
    {
        options_->max_concurrency = runs;
        return *this;
    }

    /// How long a run waits between entering the status and its first attempt. Zero: not at all.
    step_options& start_delay(any_duration wait)
        PAWL_DETAIL_REJECT(wait < duration::zero(), "start_delay must not be negative")
    {
        options_->start_delay = wait;
        return *this;
    }

    /// Moves the run there when the attempts run out, instead of pausing it. The object is the one
    /// that was saved last.
    template <auto To>
    step_options& on_exhausted()
    {
        options_->exhausted = detail::status_number<Status, To>();
        return *this;
    }

private:
    detail::handler_options* options_;
};

/// The rules of one timeout's handler, as builder::timeout() returns them. As step_options.
class timeout_options {
public:
    explicit timeout_options(detail::handler_options& options) noexcept : options_(&options) {}

    /// How failed attempts of the handler are repeated.
    timeout_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Cancels an attempt of the handler that takes longer, and counts it as failed. Zero: none.
    timeout_options& attempt_timeout(any_duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

private:
    detail::handler_options* options_;
};

/// The rules of one callback's handler, as builder::callback() returns them. As step_options; they
/// hold in each status that the declaration names.
template <class Status>
class callback_handler_options {
public:
    explicit callback_handler_options(detail::handler_options& options) noexcept
        : options_(&options)
    {
    }

    /// How failed attempts of the handler are repeated. A handler that refuses a message by an
    /// exception has `.retry({.max_attempts = 1})`, or a retry_policy::permanent that knows it.
    callback_handler_options& retry(retry_policy policy)
    {
        options_->retry = std::move(policy);
        return *this;
    }

    /// Cancels an attempt of the handler that takes longer, and counts it as failed. Zero: none.
    callback_handler_options& attempt_timeout(duration limit)
        PAWL_DETAIL_REJECT(limit < duration::zero(), "attempt_timeout must not be negative")
    {
        options_->attempt_timeout = limit;
        return *this;
    }

    /// Moves the run there when the attempts run out. Default: it stays where it is.
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
/// The graph is read off the handlers' return types (pawl::step). `Object` has a codec and a
/// default constructor; `Status` is an enum whose numbers are stored, and whose names, where it is
/// described with BOOST_DESCRIBE_ENUM, stand in diagrams and messages.
///
/// Handlers are functions, functors and lambdas. They are moved in, kept as long as any copy of the
/// workflow, and called for many runs at the same time, from the threads of the engine's executor:
/// hence as const. A lambda with captures may itself be a coroutine; what it captures by reference
/// must outlive the engines.
///
/// A mistake that the compiler cannot see is reported by build(), together with all others; Clang
/// sees options out of their range where they are constants.
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

    /// `name` is stored with each run: 1 to 128 letters, digits, '-', '_' and '.'.
    explicit builder(std::string name)
    {
        draft_.name = std::move(name);
        draft_.label = &label;
        draft_.made.decode = [](std::string_view bytes,
                                std::string* ignored) -> detail::object_ptr {
            return std::make_shared<Object>(detail::decode_object<Object>(bytes, ignored));
        };
        draft_.made.encode = [](const detail::object_ptr& object, std::string& out) {
            codec<Object>::encode(*static_cast<const Object*>(object.get()), out);
        };
        draft_.made.blank = [] {
            std::string bytes;
            codec<Object>::encode(Object{}, bytes);
            return bytes;
        };
        if constexpr (detail::upgradable<Object>)
            for (std::uint32_t from = 1; from < schema<Object>::version; ++from)
                upgrade(from, [from](boost::json::value& document) {
                    schema<Object>::upgrade(from, document);
                });
        else
            static_assert(schema<Object>::version == 1,
                          "a pawl::schema above version 1 has static void upgrade(std::uint32_t "
                          "from, boost::json::value& document)");
    }

    /// What a run does on its own in status `From`: `fn(run<Object>&)` returns a pawl::step<…> that
    /// lists where it may go. A status has at most one step.
    template <auto From, class Fn>
    step_options<Status> step(Fn fn)
    {
        auto& steps = draft_.handled(detail::status_number<Status, From>()).steps;
        auto& added = *steps.emplace_back(std::make_unique<detail::step_draft>());
        if constexpr (check_handler<Fn, run_type&>()) {
            added.destinations = destinations_of<Fn, run_type&>();
            added.run = detail::make_handler<Object, Fn>(keep(std::move(fn)));
        }
        return step_options<Status>{added.options};
    }

    /// What a message from outside does to a run in `From` (or one of `More`): a client sends it by
    /// `name`, with a payload.
    ///
    /// `fn(run<Object>&, Payload)` or `fn(run<Object>&)` returns a pawl::step<…>. Payload has a
    /// codec, is taken by value or const reference, and is read off the signature, so `fn` has one
    /// call operator that is no template. A message that comes early waits in the run's inbox.
    ///
    /// An attempt that fails is repeated, by the workflow's defaults or the rules that are given
    /// here, also after a restart: the message stays in the inbox, callbacks behind it wait, and
    /// commands, deadlines and the step go on. A message whose attempts run out, whose error is
    /// permanent, or whose payload cannot be read is settled as failed, with the error as its
    /// detail, and is sent to callback_dead_letter_topic() in the same commit. Its idempotency key
    /// is free then: the message may be sent again.
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

    /// As above, by a callback<Payload> that the program's clients use too: its payload is then
    /// checked where it is compiled.
    template <auto From, auto... More, class Payload, class Fn>
    callback_handler_options<Status> callback(const pawl::callback<Payload>& named, Fn fn)
    {
        const auto options = std::make_shared<detail::handler_options>();
        constexpr bool fits = std::is_void_v<Payload>
                                  ? std::is_invocable_v<const Fn&, run_type&>
                                  : std::is_invocable_v<const Fn&, run_type&, Payload>;
        static_assert(fits, "this handler does not take the payload of its callback");
        if constexpr (fits)
            add_callback<Payload, From, More...>(named.name(), std::move(fn), options);
        return callback_handler_options<Status>{*options};
    }

    /// What happens when a run has been in `From` for too long. A status may have several timeouts;
    /// each is armed when the run enters it, and forgotten when the run leaves.
    ///
    /// `name` is stored with the deadline: the program that has a timeout of that name in this
    /// status, now or later, calls its handler. It has 1 to 128 bytes. A stored deadline whose
    /// timeout the status no longer has is dropped, with a line in the log; a timeout that is added
    /// is armed for the runs that enter the status from then on.
    ///
    /// `when` is a span of time above zero, or a time point, or a function
    /// `std::optional<time_point>(const run<Object>&)` that is asked when the run enters; empty
    /// arms nothing. A time that has passed is due at once. `fn(run<Object>&)` returns a
    /// pawl::step<…>; it interrupts the status's step if that is at work.
    template <auto From, class When, class Fn>
    timeout_options timeout(std::string name, When when, Fn fn)
        PAWL_DETAIL_REJECT(detail::is_no_span(when), "a timeout's duration must be above zero")
    {
        return add_timeout<From>(std::move(name), std::move(when), std::move(fn));
    }

    /// The same without a name, for the only timeout of a status; its name is "timeout".
    template <auto From, class When, class Fn>
    timeout_options timeout(When when, Fn fn)
        PAWL_DETAIL_REJECT(detail::is_no_span(when), "a timeout's duration must be above zero")
    {
        return add_timeout<From>(std::string{}, std::move(when), std::move(fn));
    }

    /// Declares statuses in which a run is completed: they have no step, callback or timeout.
    template <auto... Statuses>
    builder& end()
    {
        ((draft_.statuses[detail::status_number<Status, Statuses>()].end = true), ...);
        return *this;
    }

    /// Declares statuses where runs begin. The statuses that no other one leads to are starts
    /// without being declared. The first start declared is where a trigger begins by default.
    template <auto... Statuses>
    builder& start()
    {
        (draft_.starts.push_back(detail::status_number<Status, Statuses>()), ...);
        return *this;
    }

    /// Calls `fn(const snapshot<Object, Status>&)`, or `fn(const event&, const snapshot<Object,
    /// Status>&)`, which returns awaitable<void>, after each run that completed. Several hooks for
    /// one event are called in order of declaration, the events of a run in their order.
    ///
    /// Hooks read the event log: none is lost in a crash, and one may be called again after it.
    /// Each sees the event that it is for: status, run state, reason, who asked and the time are
    /// the event's, even if the run has gone on since; only the object is the one that is stored
    /// now.
    ///
    /// One that throws is repeated by engine_options::hook_retry; when its attempts run out its
    /// event goes to hook_dead_letter_topic(), with an error in the log. It delays neither its run
    /// nor the hooks of others.
    ///
    /// What a hook has seen of the log is stored under the name of its function, on_complete, and,
    /// of a second one of the same function, under a name of its own besides:
    /// `b.on_complete("mail", send_mail)`, of 1 to 128 bytes.
    ///
    /// A hook that is new begins with what is committed from the start of its first engine on, see
    /// hooks_from_beginning(). One that a later program has no more goes on where it stopped if it
    /// comes back.
    template <class Fn>
    builder& on_complete(Fn fn)
    {
        return add_hook("on_complete", {event_kind::completed}, std::move(fn));
    }

    template <class Fn>
    builder& on_complete(const std::string& name, Fn fn)
    {
        return add_hook("on_complete/" + name, {event_kind::completed}, std::move(fn));
    }

    /// As on_complete(), for each accepted trigger.
    template <class Fn>
    builder& on_start(Fn fn)
    {
        return add_hook("on_start", {event_kind::started}, std::move(fn));
    }

    template <class Fn>
    builder& on_start(const std::string& name, Fn fn)
    {
        return add_hook("on_start/" + name, {event_kind::started}, std::move(fn));
    }

    /// As on_complete(), after each pause; the snapshot's `reason` says why.
    template <class Fn>
    builder& on_pause(Fn fn)
    {
        return add_hook("on_pause", {event_kind::paused}, std::move(fn));
    }

    template <class Fn>
    builder& on_pause(const std::string& name, Fn fn)
    {
        return add_hook("on_pause/" + name, {event_kind::paused}, std::move(fn));
    }

    /// As on_complete(), after each resume, by somebody or by itself.
    template <class Fn>
    builder& on_resume(Fn fn)
    {
        return add_hook("on_resume", {event_kind::resumed}, std::move(fn));
    }

    template <class Fn>
    builder& on_resume(const std::string& name, Fn fn)
    {
        return add_hook("on_resume/" + name, {event_kind::resumed}, std::move(fn));
    }

    /// As on_complete(), after each run that was cancelled.
    template <class Fn>
    builder& on_cancel(Fn fn)
    {
        return add_hook("on_cancel", {event_kind::cancelled}, std::move(fn));
    }

    template <class Fn>
    builder& on_cancel(const std::string& name, Fn fn)
    {
        return add_hook("on_cancel/" + name, {event_kind::cancelled}, std::move(fn));
    }

    /// As on_complete(), after the data of a run was deleted; the object is what the scrubber left.
    template <class Fn>
    builder& on_data_deleted(Fn fn)
    {
        return add_hook("on_data_deleted", {event_kind::data_deleted}, std::move(fn));
    }

    template <class Fn>
    builder& on_data_deleted(const std::string& name, Fn fn)
    {
        return add_hook("on_data_deleted/" + name, {event_kind::data_deleted}, std::move(fn));
    }

    /// As on_complete(), each time that a run enters one of `Statuses`, also by its trigger. A
    /// status that is added to them is for those that enter it from then on.
    template <auto... Statuses, class Fn>
    builder& on_enter(Fn fn)
    {
        return add_enter_hook<Statuses...>("on_enter", std::move(fn));
    }

    template <auto... Statuses, class Fn>
    builder& on_enter(const std::string& name, Fn fn)
    {
        return add_enter_hook<Statuses...>("on_enter/" + name, std::move(fn));
    }

    /// A hook that is new begins with the oldest event that the log still has, so that it is called
    /// for runs of the past too. Default: it begins with what is committed from the start of the
    /// first engine on that has it. (The hooks of a workflow of which no run has been driven before
    /// begin at the beginning anyway.)
    builder& hooks_from_beginning()
    {
        draft_.made.hooks_from_beginning = true;
        return *this;
    }

    /// Rules for handlers that give none of their own, also for those declared before.
    builder& defaults(step_defaults rules)
    {
        draft_.defaults = std::move(rules);
        return *this;
    }

    /// Lets runs that were paused by an error resume by themselves: `after` this time, at most
    /// `max_times` in a row without progress. Zero time: never. Default: 1 h, 3 times.
    builder& auto_resume(any_duration after, int max_times)
        PAWL_DETAIL_REJECT(after < duration::zero(), "auto_resume: the time is negative")
            PAWL_DETAIL_REJECT(max_times < 0, "auto_resume: the number of times is negative")
    {
        draft_.resume_after = after;
        draft_.max_auto_resumes = max_times;
        return *this;
    }

    /// How a stored object of schema version `from` becomes one of version `from + 1`, when the
    /// tolerant reader of pawl::codec is not enough for what has changed.
    ///
    /// `up(boost::json::value&)` edits the document, or `std::string up(std::string)` the bytes of
    /// another codec. The first version is 1, and each version but the present one has its upgrade:
    /// with upgrades from 1 and 2, the present version is 3. They are applied when a run is read;
    /// the run is stored in the present version at its next commit that saves its object.
    ///
    /// A program that is older than a run's object leaves the run alone: it uses up no attempt and
    /// no message, and the run goes on as soon as an engine with the newer program drives it.
    template <class Up>
    builder& upgrade(std::uint32_t from, Up up)
    {
        if (!draft_.upgrades.emplace(from, conversion(std::move(up))).second)
            draft_.repeated_upgrades.push_back(from);
        return *this;
    }

    /// The same, with the way back, `down`, from version `from + 1` to version `from`, which
    /// write_version() needs.
    template <class Up, class Down>
    builder& upgrade(std::uint32_t from, Up up, Down down)
    {
        draft_.downgrades.emplace(from, conversion(std::move(down)));
        return upgrade(from, std::move(up));
    }

    /// Objects are stored in this older version of their schema, while all versions are read.
    ///
    /// For a deployment that replaces engines one after the other: first a program that knows the
    /// new version and writes the old one, which the engines of before can read; when all engines
    /// have it, the same program without this line. Each version from this one to the present one
    /// has an upgrade() with its way back. What the old version cannot hold is lost when the object
    /// is stored. Default: the present version.
    builder& write_version(std::uint32_t version)
    {
        draft_.write_version = version;
        return *this;
    }

    /// Says that status number `old` is no more, and that its runs go on in `To`, as if they had
    /// just entered it. When an engine starts, it moves them before it does anything else; a paused
    /// run stays paused there, unless `To` is an end.
    template <auto To>
    builder& replace_status(int old)
    {
        draft_.retired.emplace_back(old, detail::status_number<Status, To>());
        return *this;
    }

    /// Says that the status `Now` was called `old` by a program before: its number is the same, and
    /// so is what it stands for.
    ///
    /// A status is stored by its number, and the labels of all numbers with the workflow. A number
    /// that has another label than before is most often an enumerator that was put in between, and
    /// the runs would stand in the wrong status: engine::async_start refuses it with
    /// errc::status_relabeled, unless it is said so here.
    template <auto Now>
    builder& renamed(std::string old)
    {
        draft_.renamed.emplace_back(detail::status_number<Status, Now>(), std::move(old));
        return *this;
    }

    /// Removes finished runs when they have been kept for a while, with their history: in the
    /// background, after their hooks, the oldest first. Without it they are kept for ever.
    ///
    /// A removed run is forgotten: its start key, and id_reuse_policy::reject_duplicate, no longer
    /// know of it.
    builder& retention(retention_options rules)
    {
        draft_.made.retention = std::move(rules);
        return *this;
    }

    /// How a run's object loses its personal data when its deletion is asked for: `fn(Object&)`.
    /// Default: the object is replaced by a default-constructed one, which build() therefore
    /// encodes once. So it is when `fn` throws, cannot be given the object, or leaves one that is
    /// larger than engine_options::max_object_size, with an error in the log, for the data must go;
    /// and when no default object can be had either, by the document {}.
    template <class Fn>
    builder& scrub(Fn fn)
    {
        constexpr bool fits = std::is_invocable_v<const Fn&, Object&>;
        static_assert(fits, "scrub is called as fn(Object&), with a const call operator");
        if constexpr (fits)
            draft_.made.scrub = [kept = keep(std::move(fn))](std::string_view stored) {
                Object object = detail::decode_object<Object>(stored);
                (*kept)(object);
                std::string bytes;
                codec<Object>::encode(object, bytes);
                return bytes;
            };
        return *this;
    }

    /// Checks everything and ends the builder: `std::move(b).build()`.
    ///
    /// Throws definition_error, which lists every problem with the status's name and number: a name
    /// that is empty, too long or used twice, an option out of its range, a status that runs reach
    /// but cannot leave, or that no run can reach, no status to start in.
    workflow<Object, Status> build() &&
    {
        return workflow<Object, Status>{detail::finish(std::move(draft_))};
    }

private:
    static std::string label(int status)
    {
        if constexpr (boost::describe::has_describe_enumerators<Status>::value) {
            const char* name = nullptr;
            boost::mp11::mp_for_each<boost::describe::describe_enumerators<Status>>([&](auto each) {
                if (static_cast<int>(each.value) == status)
                    name = each.name;
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
                draft_.made.payload_versions[name] = schema<Payload>::version;
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

    template <auto... Statuses, class Fn>
    builder& add_enter_hook(std::string name, Fn fn)
    {
        static_assert(sizeof...(Statuses) > 0, "on_enter needs a status: b.on_enter<Paid>(fn)");
        return add_hook(std::move(name),
                        {event_kind::started, event_kind::moved, event_kind::completed},
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
            draft_.made.hooks.push_back(
                {std::move(name), std::move(kinds), std::move(entering),
                 [fn](const event& what, const record& at) {
                     auto seen = detail::make_snapshot<Object, Status>(
                         at, detail::decode_object<Object>(at.object));
                     if constexpr (with_event)
                         return detail::call_hook<snapshot_type, Fn>(fn, what, std::move(seen));
                     else
                         return detail::call_hook<snapshot_type, Fn>(fn, std::move(seen));
                 }});
        return *this;
    }

    detail::workflow_draft draft_;
};

} // namespace pawl
