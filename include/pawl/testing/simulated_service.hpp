#pragma once

#include "pawl/testing/simulation.hpp"

#include <any>
#include <cstddef>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace pawl::testing {

/// A request to a simulated_service.
struct service_request {
    std::string effect;  ///< name of the effect, e.g. "charge"
    std::string subject; ///< what the effect is for, e.g. a foreign id, "order-1"
    std::string key;     ///< idempotency key

    /// The arguments, as text. A repeated request has the same arguments. Default: empty.
    std::string body{};

    /// Whether the subject may have the effect several times, each under a key of its own. Default
    /// false.
    bool repeatable = false;
};

/// Thrown when a known key is used with another effect, subject or body.
class service_conflict : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A service outside the simulated engines, such as a payment provider. It remembers its effects by
/// idempotency key: a repeated request has no second effect and returns the first result.
///
/// It reports as violations of the simulation:
///
/// - a request without a key;
/// - an effect that a subject gets twice, under two keys, unless it is repeatable;
/// - a key that is used with another effect, subject or body.
///
/// By these mistakes a crash or a lost answer charges a customer twice. They are found without a
/// check of your own.
///
/// @code
/// pawl::testing::simulated_service bank{sim, "bank"};
/// // in a step:
/// const auto reference = co_await bank.call(
///     process, {.effect = "charge", .subject = id, .key = key, .body = "30"},
///     [&] { return ledger.charge(id, 30); });
/// @endcode
///
/// Lifetime: the service exists until simulation::run() has returned.
///
/// @par Thread Safety
/// That of its simulation.
class simulated_service {
public:
    /// @param name Prefix of the violations that it reports.
    simulated_service(simulation& sim, std::string name);
    ~simulated_service();

    simulated_service(const simulated_service&) = delete;
    simulated_service& operator=(const simulated_service&) = delete;

    /// Sends the request through simulated_process::call(), where it may get lost. If it arrives
    /// and its key is new, `effect()` is called and its result, which must be copyable, is
    /// remembered. If `effect` throws, the exception is the answer and nothing is remembered.
    /// `effect` is moved into the coroutine.
    ///
    /// Errors: throws simulated_call_error — request or answer was lost or failed; service_conflict
    /// — the key is known with another request; the exceptions of `effect`.
    template <class Effect>
    auto call(simulated_process& caller, service_request request, Effect effect)
        -> boost::asio::awaitable<std::invoke_result_t<Effect&>>
    {
        using result = std::invoke_result_t<Effect&>;
        std::string text = name_ + " " + request.effect + " " + request.subject;
        auto arrive = [this, received = std::move(request), perform = std::move(effect)]() mutable {
            if constexpr (std::is_void_v<result>) {
                if (!known(received)) {
                    perform();
                    remember(received, {});
                }
            } else {
                if (const auto* first = known(received))
                    return std::any_cast<result>(*first);
                result fresh = perform();
                remember(received, fresh);
                return fresh;
            }
        };
        if constexpr (std::is_void_v<result>) {
            co_await caller.call(std::move(text), std::move(arrive));
        } else {
            auto answer = co_await caller.call(std::move(text), std::move(arrive));
            co_return answer;
        }
    }

    /// How often the subject got the effect.
    std::size_t count(std::string_view effect, std::string_view subject) const;

private:
    struct entry {
        service_request request;
        std::any result;
    };

    const std::any* known(const service_request& request);
    void remember(const service_request& request, std::any result);
    void report(const std::string& sentence);

    simulation& sim_;
    std::string name_;
    std::map<std::string, entry> by_key_;
    std::map<std::pair<std::string, std::string>, std::vector<std::string>> keys_; ///< of a subject
};

} // namespace pawl::testing
