#pragma once

#include "pawl/client.hpp"
#include "pawl/codec.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/detail/callable.hpp"
#include "pawl/event_source.hpp"
#include "pawl/retry_policy.hpp"
#include "pawl/stream_event.hpp"
#include "pawl/workflow_events.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pawl {

struct connector_options {
    /// Events worked off at a time, each of another key. 1 to 1,000,000. Default 16.
    std::size_t max_concurrency = 16;

    /// How failed attempts are repeated; those of one key wait meanwhile, others do not. What the
    /// function does not answer for is repeated without being counted: a store that fails (any
    /// store_* code), an engine that is overloaded or stops. When the attempts run out the event
    /// goes to dead_letter_topic(); at once when the error is permanent: errc::already_finished,
    /// for one, of a run that takes no more callbacks. With max_attempts 0 it is repeated without
    /// end. Default: retry_policy's.
    retry_policy retry{};

    /// Cancels an attempt that takes longer, and counts it as failed. Zero: no limit. Default zero.
    duration attempt_timeout{};

    /// Works an event off no earlier than so long after it happened. At least zero. Default zero.
    duration delay{};

    /// Events that are read ahead: past it, no more are read until some have been processed. The
    /// events of a key whose first one waits for its next attempt do not count, so that those that
    /// fail hold up no others; of these there are at most 16 times as many. At least 1. Default
    /// 1,024.
    std::size_t prefetch = 1'024;
};

/// How the payload of an event becomes a T: its bytes by codec<T>, unless specialised.
template <class T>
struct event_codec {
    static T decode(const stream_event& from) { return codec<T>::decode(from.payload); }
};

template <>
struct event_codec<stream_event> {
    static stream_event decode(const stream_event& from) { return from; }
};

/// Of engine::events(), or of a topic that they were forwarded to.
template <>
struct event_codec<event> {
    static event decode(const stream_event& from) { return to_workflow_event(from); }
};

namespace detail {

/// Names an event, among all of a connector's, for ever.
std::string event_name(const stream_event& what);

/// The idempotency key of what a connector does for an event: `what` tells several apart.
std::string connector_key(std::string_view connector, const stream_event& event,
                          std::string_view what);

/// What the engine knows of one attempt.
struct event_state {
    std::string connector;
    stream_event event;
    int attempt = 1;
};

using connector_function = std::function<boost::asio::awaitable<void>(
    std::shared_ptr<engine_api>, std::shared_ptr<const event_state>)>;

/// A connector without its types: what the engine runs.
struct connector_impl {
    std::string name;
    std::string workflow;
    std::shared_ptr<event_source> source;
    connector_function work;
    connector_options options;
};

} // namespace detail

/// An event that has come to a connector, and what may be done for it, exactly once: whatever
/// crashes between an action and the acknowledgement of the event, the action repeated changes
/// nothing.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
template <class Object, class Status>
class event_context {
public:
    event_context(pawl::client<Object, Status> to, std::shared_ptr<const detail::event_state> state)
        : client_(std::move(to)), state_(std::move(state))
    {
    }

    const stream_event& event() const noexcept { return state_->event; }

    /// From 1; attempts before a restart are not counted.
    int attempt() const noexcept { return state_->attempt; }

    /// Of the workflow that the connector was given.
    pawl::client<Object, Status>& client() noexcept { return client_; }

    /// A key that is this event's alone among all that this connector gets, the same in each
    /// attempt: for what the function asks of others. `what` tells several things apart.
    std::string idempotency_key(std::string_view what = {}) const
    {
        return detail::connector_key(state_->connector, state_->event, what);
    }

    /// Starts a run, once per event and foreign id: repeated, it gives the run that was started.
    /// The run belongs to the event's trace. An idempotency key of the options tells several runs
    /// of one foreign id apart.
    ///
    /// Durability, errors: as client::async_trigger; already_running, for one, when the foreign id
    /// has an unfinished run that another event started.
    boost::asio::awaitable<run_id> trigger(std::string foreign_id, Object object,
                                           trigger_options<Status> options = {})
    {
        options.idempotency_key = idempotency_key(options.idempotency_key);
        if (options.trace_parent.empty())
            options.trace_parent = event().trace_parent;
        const auto started = co_await client_.async_trigger(
            std::move(foreign_id), object, std::move(options), boost::asio::use_awaitable);
        co_return started;
    }

    /// Leaves a callback in a run's inbox, once per event, run and name: repeated, it gives what
    /// became of the first one. An idempotency key of the options tells several apart.
    ///
    /// Completes when it is durable there; durability, errors: as client::async_send; not_found,
    /// for one, when there is no such run (yet).
    template <class Payload>
    boost::asio::awaitable<settlement> send(run_ref to, std::string name, Payload payload,
                                            callback_options options = {})
    {
        options.idempotency_key = idempotency_key(std::to_string(name.size()) + "/" + name + "/" +
                                                  options.idempotency_key);
        auto settled = co_await client_.async_send(std::move(to), std::move(name), payload,
                                                   std::move(options), boost::asio::use_awaitable);
        co_return settled;
    }

    /// The same by a callback<Payload>: another payload than its own does not compile.
    template <class Payload>
    boost::asio::awaitable<settlement> send(run_ref to, const callback<Payload>& named,
                                            std::type_identity_t<Payload> payload,
                                            callback_options options = {})
    {
        return send(std::move(to), named.name(), std::move(payload), std::move(options));
    }

    /// The same by a callback without payload.
    boost::asio::awaitable<settlement> send(run_ref to, const callback<void>& named,
                                            callback_options options = {})
    {
        return send(std::move(to), named.name(), bytes{}, std::move(options));
    }

private:
    pawl::client<Object, Status> client_;
    std::shared_ptr<const detail::event_state> state_;
};

namespace detail {

template <class Payload>
Payload decode_event(const stream_event& from)
{
    try {
        return event_codec<Payload>::decode(from);
    } catch (const std::exception& e) {
        if (is_too_old(e))
            throw;
        throw unreadable_payload(errc::decode_failed, exception_text(std::current_exception()));
    } catch (...) {
        throw unreadable_payload(errc::decode_failed, exception_text(std::current_exception()));
    }
}

template <class Fn, class Object, class Status>
boost::asio::awaitable<void> call_connector(kept<Fn> fn, event_context<Object, Status> in)
{
    if constexpr (std::is_invocable_v<const Fn&, event_context<Object, Status>&>) {
        co_await (*fn)(in);
    } else {
        auto payload = decode_event<payload_of<Fn>>(in.event());
        co_await (*fn)(in, std::move(payload));
    }
}

template <class Object, class Status, class Fn>
constexpr bool is_connector_function()
{
    using in = event_context<Object, Status>&;
    using result = boost::asio::awaitable<void>;
    if constexpr (std::is_invocable_r_v<result, const Fn&, in>)
        return true;
    else if constexpr (has_second_parameter<Fn>)
        return std::is_invocable_r_v<result, const Fn&, in, payload_of<Fn>>;
    else
        return false;
}

template <class Object, class Status, class Fn>
connector_function make_connector(workflow<Object, Status> of, Fn fn)
{
    constexpr bool fits = is_connector_function<Object, Status, Fn>();
    static_assert(fits,
                  "a connector's function is boost::asio::awaitable<void>(pawl::event_context<"
                  "Object, Status>&), or takes the event's payload after that; its call "
                  "operator is const");
    if constexpr (fits)
        return [of = std::move(of), fn = std::make_shared<const Fn>(std::move(fn))](
                   std::shared_ptr<engine_api> engine, std::shared_ptr<const event_state> state) {
            return call_connector<Fn, Object, Status>(
                fn, event_context<Object, Status>{client<Object, Status>{std::move(engine), of},
                                                  std::move(state)});
        };
    else
        return {};
}

/// Sends each event on to a topic.
struct forwarding_function {
    std::shared_ptr<event_streamer> streamer;
    std::string topic;

    template <class Object, class Status>
    boost::asio::awaitable<void> operator()(event_context<Object, Status>& in) const
    {
        auto sent = in.event();
        if (sent.id.empty())
            sent.id = in.idempotency_key();
        std::vector<stream_event> batch{std::move(sent)};
        co_await streamer->send(topic, std::move(batch));
    }
};

} // namespace detail

/// A connector's function that sends each event on to a topic, once by its id: with
/// engine::events() as the source it is how the world outside learns what becomes of runs.
inline detail::forwarding_function forward_to(std::shared_ptr<event_streamer> streamer,
                                              std::string topic)
{
    return {std::move(streamer), std::move(topic)};
}

} // namespace pawl
