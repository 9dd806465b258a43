#pragma once

#include "pawl/detail/limits_api.hpp"
#include "pawl/engine.hpp"
#include "pawl/limit_info.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl {

/// The limits of an engine: their numbers, and what waits for them.
///
/// A handle, which may outlive the engine, but not the execution context of its executor.
///
/// Functions named async_… take a completion token and complete as those of client do. Each can
/// also fail with not_running (the engine was not started, or has been stopped).
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class limits {
public:
    explicit limits(const engine& of) : engine_(of.limits_api()) {}

    /// Reads the limits of this engine, sorted by name. Waiting runs of other engines of a shared
    /// store are not counted.
    ///
    /// Signature: `void(error_code, std::vector<limit_info>)`.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(Token&& token = {})
    {
        return detail::initiate<Token, std::vector<limit_info>>(
            [](auto handler, std::shared_ptr<detail::limits_api> target) {
                target->list(detail::completion<std::vector<limit_info>>{std::move(handler)});
            },
            token, engine_);
    }

    /// Sets the numbers of a limit in place of those that the program declares. All numbers are
    /// replaced: a number that is not set is no limit.
    ///
    /// Attempts that run are not cancelled. If fewer may run than do, no attempt begins until
    /// enough of them have ended.
    ///
    /// Completes: when the numbers are stored and this engine obeys them; other engines of a shared
    /// store obey them within engine_options::poll_interval. Signature: `void(error_code)`.
    /// Durability: the numbers are in force until async_reset(), also after restarts and in later
    /// programs.
    /// Errors: not_found — no step of this engine has the limit; invalid_argument — a number is out
    /// of its range, see limit_options; a store_* code — the store failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_set(std::string name, limit_options numbers, Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, std::shared_ptr<detail::limits_api> target, std::string limit,
               limit_options wanted) {
                target->set(std::move(limit), wanted, detail::completion<>{std::move(handler)});
            },
            token, engine_, std::move(name), numbers);
    }

    /// Puts the numbers that the program declares in force again.
    ///
    /// Completes: as async_set(). Signature: `void(error_code)`.
    /// Errors: not_found — no step of this engine has the limit, or its numbers were not set; a
    /// store_* code — the store failed.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_reset(std::string name, Token&& token = {})
    {
        return detail::initiate<Token>(
            [](auto handler, std::shared_ptr<detail::limits_api> target, std::string limit) {
                target->reset(std::move(limit), detail::completion<>{std::move(handler)});
            },
            token, engine_, std::move(name));
    }

    /// Says what a run waits for: the limit, its key, and how many runs are before it. It counts
    /// the runs before it one by one.
    ///
    /// Completes: with an empty value if the run does not wait for a limit in this engine, or its
    /// id is not in memory (see engine_options::max_limited_runs). Signature: `void(error_code,
    /// std::optional<limit_wait>)`.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_explain(run_id run, Token&& token = {})
    {
        return detail::initiate<Token, std::optional<limit_wait>>(
            [](auto handler, std::shared_ptr<detail::limits_api> target, run_id asked) {
                target->explain(asked,
                                detail::completion<std::optional<limit_wait>>{std::move(handler)});
            },
            token, engine_, run);
    }

private:
    std::shared_ptr<detail::limits_api> engine_;
};

} // namespace pawl
