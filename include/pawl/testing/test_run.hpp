#pragma once

#include "pawl/codec.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

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

/// A run without an engine, for the unit test of one step, callback or timeout.
///
/// @code
/// pawl::testing::test_run<Order> run{order};
/// const auto outcome = run.call(validate_order);
/// BOOST_TEST(outcome.moved_to<Cancelled>());
/// BOOST_TEST(run.object().validation_errors.size() == 1);
/// @endcode
///
/// Effects and checkpoints are recorded as by an engine, and the next call finds them: call a step
/// twice to test a second attempt. What call() gets from the handler is not applied to the run:
/// status and attempt change only by the functions below.
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
    test_run& foreign_id(std::string id)
    {
        record_.foreign_id = std::move(id);
        return *this;
    }
    template <class Status>
    test_run& status(Status current)
    {
        record_.status = static_cast<int>(current);
        return *this;
    }
    test_run& attempt(int number) ///< 1 for the first attempt
    {
        record_.attempt = number - 1;
        return *this;
    }
    test_run& now(time_point time) ///< default 2024-01-01T00:00:00Z
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
    /// thread and in real time. An exception of the handler is part of the outcome.
    template <class Fn, class... Payload>
    step_outcome call(const Fn& fn, Payload... payload)
    {
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
        return {std::move(value), std::move(thrown)};
    }

    Object& object() noexcept { return object_; }

    /// The object as checkpoint() or an effect saved it last; empty if none did.
    std::optional<Object> saved() const
    {
        if (saves_ == 0)
            return {};
        return codec<Object>::decode(record_.object);
    }

    int saves() const noexcept { return saves_; } ///< number of checkpoints and effects
    const std::vector<effect>& effects() const noexcept { return record_.effects; }
    const std::vector<std::string>& log_lines() const noexcept { return lines_; }

private:
    template <class Fn, class... Payload>
    static boost::asio::awaitable<pawl::detail::next_value>
    ended(const Fn& fn, run<Object>& current, Payload... payload)
    {
        auto next = co_await fn(current, std::move(payload)...);
        co_return std::move(next).value();
    }

    const record& current() const noexcept override { return record_; }
    int attempt() const noexcept override { return record_.attempt + 1; }
    time_point now() const override { return now_; }

    boost::asio::awaitable<void> checkpoint(std::string object) override
    {
        if (fails_)
            throw error(errc::store_unavailable, "test_run::fail_commits");
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

    void log(log_level, std::string_view line) const override { lines_.emplace_back(line); }

    Object object_;
    record record_;
    time_point now_{std::chrono::sys_days{std::chrono::year{2024} / 1 / 1}};
    bool fails_ = false;
    int saves_ = 0;
    mutable std::vector<std::string> lines_;
};

} // namespace pawl::testing
