#pragma once

#include "pawl/codec.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl::testing {

/// What a handler that test_run::call() called returned or threw.
class step_outcome {
public:
    step_outcome(std::optional<pawl::detail::next_value> value, std::exception_ptr thrown)
        : value_(std::move(value)), thrown_(std::move(thrown))
    {
    }

    /// True if it returned to<Status>.
    template <auto Status>
    bool moved_to() const
    {
        return is(pawl::detail::next_kind::move) && value_->status == static_cast<int>(Status);
    }

    bool repeats() const { return is(pawl::detail::next_kind::repeat); }
    bool skipped() const { return is(pawl::detail::next_kind::skip); }
    bool paused() const { return is(pawl::detail::next_kind::pause); }
    bool cancelled() const { return is(pawl::detail::next_kind::cancel); }
    bool finished() const { return is(pawl::detail::next_kind::finish); }
    bool threw() const { return thrown_ != nullptr; }

    duration delay() const { return value_ ? value_->delay : duration{}; } ///< of repeat_after()

    /// Of pause(), cancel() or finish(); else empty.
    std::string reason() const { return value_ ? value_->reason : ""; }

    /// Throws what the handler threw; has no effect if it did not throw.
    void rethrow() const
    {
        if (thrown_)
            std::rethrow_exception(thrown_);
    }

private:
    bool is(pawl::detail::next_kind kind) const { return value_ && value_->kind == kind; }

    std::optional<pawl::detail::next_value> value_;
    std::exception_ptr thrown_;
};

/// A callback that a handler has sent by run::send().
struct sent_callback {
    std::string workflow;
    run_ref receiver;
    std::string name;
    std::string payload;         ///< encoded
    std::string idempotency_key; ///< of the message

    /// The payload as `Payload`. Throws what its codec throws.
    template <class Payload>
    Payload payload_as() const
    {
        return pawl::detail::decode_as<Payload>(payload, json_reading::strict);
    }
};

/// A child that a handler has started by run::start().
struct started_child {
    std::string workflow;
    std::string foreign_id;
    std::string object; ///< encoded
    std::string on_end; ///< the name of the callback; may be empty
    parent_cancel on_parent_cancel = parent_cancel::leave;
    std::string idempotency_key; ///< of the start
    run_id run;

    /// The object as `Object`. Throws what its codec throws.
    template <class Object>
    Object object_as() const
    {
        return pawl::detail::decode_object<Object>(object);
    }
};

/// A run without an engine, for the unit test of one step, callback or timeout.
///
/// @code
/// pawl::testing::test_run<Order> run{order};
/// const auto outcome = run.call(validate_order);
/// BOOST_TEST(outcome.moved_to<Cancelled>());
/// BOOST_TEST(run.object().validation_errors.size() == 1);
/// @endcode
///
/// Attempts follow each other as in an engine. After an exception the next call is the handler's
/// next attempt: run::attempt() is one higher, the effects and checkpoints of the earlier attempts
/// are found, and changes of the object that were not saved are gone. The test of a second attempt
/// is a second call:
///
/// @code
/// BOOST_TEST(run.call(charge).threw());
/// BOOST_TEST(run.call(charge).moved_to<Charged>());
/// @endcode
///
/// After any other outcome the next call is a first attempt. After repeat_after() it begins the
/// next round, in which once() calls its functions again. Calls with a payload are attempts of one
/// message until one of them succeeds; the next payload is the next message. A timeout's handler is
/// called like a step. The status changes only by status().
///
/// @par Thread Safety
/// One thread at a time.
template <class Object>
class test_run final : private pawl::detail::run_context {
public:
    explicit test_run(Object object = {}) : object_(std::move(object))
    {
        record_.id = *parse_run_id("01890a5d-ac96-774b-bcce-b302099a8057");
        record_.workflow = "test";
        record_.foreign_id = "test-1";
        record_.visit = 1;
        record_.version = 1;
        record_.state = run_state::running;
    }

    // What the handler sees. Each function returns *this.

    /// Default "test-1".
    test_run& foreign_id(std::string id)
    {
        record_.foreign_id = std::move(id);
        return *this;
    }

    /// Sets the status. After a call this begins a new visit: the next call is a first attempt, and
    /// finds no effects of once() in steps of earlier visits.
    template <class Status>
    test_run& status(Status current)
    {
        if (std::exchange(visit_used_, false)) {
            ++record_.visit;
            record_.round = 0;
            record_.attempt = 0;
            drop_effects([](const effect& known) { return known.handler < message_handler(0); });
        }
        record_.status = static_cast<int>(current);
        return *this;
    }

    /// Sets the number of the next attempt, from 1. Set it to 1 when an exception has ended one
    /// handler and you call another one.
    test_run& attempt(int number)
    {
        record_.attempt = number - 1;
        return *this;
    }

    /// Default 2024-01-01T00:00:00Z.
    test_run& now(time_point time)
    {
        now_ = time;
        return *this;
    }

    test_run& trace_parent(std::string header)
    {
        record_.trace_parent = std::move(header);
        return *this;
    }

    /// Makes all commits of effects and checkpoints fail from now on with store_unavailable, or
    /// succeed again.
    test_run& fail_commits(bool fails = true)
    {
        fails_ = fails;
        return *this;
    }

    /// Calls a handler, `fn(run)` or `fn(run, payload)`, and runs it to its end, on the calling
    /// thread and in real time. An exception of the handler is part of the outcome. After an
    /// exception and after skip(), object() is what was saved last: by the handler, or before the
    /// call.
    ///
    /// Errors: throws what the codec of the object throws.
    template <class Fn, class... Payload>
    step_outcome call(const Fn& fn, Payload... payload)
    {
        begin_call(sizeof...(Payload) > 0);
        std::optional<pawl::detail::next_value> value;
        std::exception_ptr thrown;
        boost::asio::io_context io;
        run<Object> current{object_, *this};
        boost::asio::co_spawn(io, ended(fn, current, std::move(payload)...),
                              [&](std::exception_ptr e, pawl::detail::next_value returned) {
                                  thrown = e;
                                  if (!e)
                                      value = std::move(returned);
                              });
        io.run();
        end_call(value);
        return {std::move(value), std::move(thrown)};
    }

    /// The object. The test may change it between two calls.
    Object& object() noexcept { return object_; }

    /// The object as checkpoint() or an effect saved it last; empty if none did.
    std::optional<Object> saved() const
    {
        if (saves_ == 0)
            return {};
        return codec<Object>::decode(record_.object);
    }

    int saves() const noexcept { return saves_; } ///< number of checkpoints and effects

    /// The recorded effects. Those of once() stay until their round, message or visit has ended;
    /// those of the last call stay until the next one.
    const std::vector<effect>& effects() const noexcept { return record_.effects; }

    /// The callbacks that handlers have sent, each once by its receiver, name and key.
    const std::vector<sent_callback>& sent() const noexcept { return sent_; }

    /// The children that handlers have started, each once by its foreign id and key.
    const std::vector<started_child>& started() const noexcept { return started_; }

    /// What run::children() returns. Default: no children.
    test_run& children(child_counts counts)
    {
        children_ = counts;
        return *this;
    }

    const std::vector<std::string>& log_lines() const noexcept { return lines_; }

private:
    /// Identifies the handler of a message; see pawl::detail::run_context::handler_number().
    static constexpr std::uint64_t message_handler(std::uint64_t message) noexcept
    {
        return (1ull << 32) + message;
    }

    template <class Predicate>
    void drop_effects(Predicate ended)
    {
        std::erase_if(record_.effects,
                      [&](const effect& known) { return !known.for_run && ended(known); });
    }

    void begin_call(bool is_message)
    {
        if (const auto ended = std::exchange(ended_handler_, std::nullopt))
            drop_effects([ended](const effect& known) { return known.handler == *ended; });
        handler_ = is_message ? message_handler(message_) : 0;
        saved_.clear();
        codec<Object>::encode(object_, saved_);
    }

    void end_call(const std::optional<pawl::detail::next_value>& value)
    {
        using pawl::detail::next_kind;
        visit_used_ = true;
        if (!value || value->kind == next_kind::skip)
            object_ = codec<Object>::decode(saved_);
        record_.attempt = value ? 0 : record_.attempt + 1;
        if (!value)
            return;
        if (handler_ != 0) {
            ended_handler_ = handler_;
            ++message_;
        } else if (value->kind == next_kind::repeat) {
            ended_handler_ = 0;
            ++record_.round;
        }
    }

    template <class Fn, class... Payload>
    static boost::asio::awaitable<pawl::detail::next_value>
    ended(const Fn& fn, run<Object>& current, Payload... payload)
    {
        auto next = co_await fn(current, std::move(payload)...);
        co_return std::move(next).value();
    }

    const record& current() const noexcept override { return record_; }
    int attempt() const noexcept override { return record_.attempt + 1; }
    std::uint64_t handler_number() const noexcept override { return handler_; }
    time_point now() const override { return now_; }

    boost::asio::awaitable<void> checkpoint(std::string object) override
    {
        if (fails_)
            throw error(errc::store_unavailable, "test_run::fail_commits");
        saved_ = object;
        record_.object = std::move(object);
        ++record_.version;
        ++saves_;
        co_return;
    }

    boost::asio::awaitable<void> record_effect(effect added, std::string object) override
    {
        co_await checkpoint(std::move(object));
        record_.effects.push_back(std::move(added));
    }

    boost::asio::awaitable<void> send(std::string workflow,
                                      pawl::detail::send_call callback) override
    {
        if (fails_)
            throw error(errc::store_unavailable, "test_run::fail_commits");
        if (callback.early)
            std::rethrow_exception(pawl::detail::exception_of(callback.early));
        for (const auto& known : sent_)
            if (known.workflow == workflow && known.receiver == callback.run &&
                known.name == callback.name && known.idempotency_key == callback.key)
                co_return;
        sent_.push_back({std::move(workflow), std::move(callback.run), std::move(callback.name),
                         std::move(callback.payload), std::move(callback.key)});
    }

    boost::asio::awaitable<run_id> start(std::string workflow,
                                         pawl::detail::trigger_call child) override
    {
        if (fails_)
            throw error(errc::store_unavailable, "test_run::fail_commits");
        if (child.early)
            std::rethrow_exception(pawl::detail::exception_of(child.early));
        for (const auto& known : started_)
            if (known.workflow == workflow && known.foreign_id == child.foreign_id &&
                known.idempotency_key == child.key)
                co_return known.run;
        run_id id = record_.id;
        id.bytes.back() = static_cast<std::uint8_t>(id.bytes.back() + started_.size() + 1);
        started_.push_back({std::move(workflow), std::move(child.foreign_id),
                            std::move(child.object), std::move(child.parent->callback),
                            child.parent->on_cancel, std::move(child.key), id});
        co_return id;
    }

    boost::asio::awaitable<child_counts> count_children() override { co_return children_; }

    void log(log_level, std::string_view line) const override { lines_.emplace_back(line); }

    Object object_;
    record record_;
    time_point now_{std::chrono::sys_days{std::chrono::year{2024} / 1 / 1}};
    bool fails_ = false;
    int saves_ = 0;
    std::string saved_;                          ///< the object that the next attempt starts from
    bool visit_used_ = false;                    ///< a handler was called in this visit
    std::uint64_t handler_ = 0;                  ///< the handler that was called last
    std::uint64_t message_ = 1;                  ///< the number of the next message that succeeds
    std::optional<std::uint64_t> ended_handler_; ///< its effects are dropped before the next call
    std::vector<sent_callback> sent_;
    std::vector<started_child> started_;
    child_counts children_;
    mutable std::vector<std::string> lines_;
};

} // namespace pawl::testing
