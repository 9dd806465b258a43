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
    std::string effect;  ///< what is done: "charge"
    std::string subject; ///< for what, mostly a foreign id: "order-1"
    std::string key;     ///< the idempotency key

    /// The arguments, as text. A repeated request has the same ones.
    std::string body{};

    /// True: the subject may have the effect several times, each with a key of its own.
    bool repeatable = false;
};

/// What a handler gets when it sends other arguments under a key that is known.
class service_conflict : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A service of the world outside, such as a payment provider. It remembers what it did by
/// idempotency key: a repeated request has no second effect, and gets the first one's result.
///
/// It reports, as sentences of the simulation's result, what a workflow must not do:
///
/// - a request without a key;
/// - an effect that one subject gets twice, under two keys;
/// - a key that is used with other arguments, for another effect or for another subject.
///
/// These are the mistakes by which a crash or a lost answer charges a customer twice. They are
/// found without a check of your own.
///
/// @code
/// pawl::testing::simulated_service bank{sim, "bank"};
/// // in a step:
/// const auto reference = co_await bank.call(
///     process, {.effect = "charge", .subject = id, .key = key, .body = "30"},
///     [&] { return ledger.charge(id, 30); });
/// @endcode
///
/// Lifetime: the service must exist until the simulation's run() has returned.
///
/// @par Thread Safety
/// As its simulation.
class simulated_service {
public:
    /// @param name  begins each of its sentences.
    simulated_service(simulation& sim, std::string name);
    ~simulated_service();

    simulated_service(const simulated_service&) = delete;
    simulated_service& operator=(const simulated_service&) = delete;

    /// Sends the request through simulated_process::call(), where it may get lost. When it arrives
    /// and its key is new, `effect()` is called, and its result, which can be copied, is kept. An
    /// exception of `effect` is the answer, and nothing is remembered.
    ///
    /// `effect` is moved into the coroutine.
    ///
    /// Throws simulated_call_error; service_conflict when the key is known with another request;
    /// and what `effect` throws.
    template <class Effect>
    auto call(simulated_process& from, service_request request, Effect effect)
        -> boost::asio::awaitable<std::invoke_result_t<Effect&>>
    {
        using result = std::invoke_result_t<Effect&>;
        std::string text = name_ + " " + request.effect + " " + request.subject;
        auto arrive = [this, asked = std::move(request), made = std::move(effect)]() mutable {
            if constexpr (std::is_void_v<result>) {
                if (!known(asked)) {
                    made();
                    remember(asked, {});
                }
            } else {
                if (const auto* first = known(asked))
                    return std::any_cast<result>(*first);
                result fresh = made();
                remember(asked, fresh);
                return fresh;
            }
        };
        if constexpr (std::is_void_v<result>) {
            co_await from.call(std::move(text), std::move(arrive));
        } else {
            auto answer = co_await from.call(std::move(text), std::move(arrive));
            co_return answer;
        }
    }

    /// How often the subject has had the effect.
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
