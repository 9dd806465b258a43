#pragma once

#include "pawl/client.hpp"
#include "pawl/codec.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/detail/callable.hpp"
#include "pawl/event_sink.hpp"
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

/// Options of engine::connect(), which throws definition_error for a value out of its range.
struct connector_options {
    /// Events processed at a time, each with another key. 1 to 1,000,000. Default 16.
    std::size_t max_concurrency = 16;

    /// How failed attempts are retried. Events of the same key wait meanwhile, others do not.
    /// Infrastructure failures are retried without using up an attempt: a failing store (any
    /// store_* code), an overloaded engine, a stop. When the attempts are used up, or at once when
    /// the error is permanent, the event goes to dead_letter_topic(); errc::already_finished of a
    /// run that takes no more callbacks counts as permanent. With max_attempts 0 an event is
    /// retried without limit. Default: a default-constructed retry_policy.
    retry_policy retry{};

    /// Maximum duration of an attempt. A longer one is cancelled and counts as failed. Not
    /// negative. Zero: no limit. Default zero.
    duration attempt_timeout{};

    /// Minimum age of an event before it is processed. Not negative. Default zero.
    duration delay{};

    /// Events that are read ahead; at this number reading pauses until some have been processed.
    /// Events of a key that waits for a retry do not count, so that failing keys do not delay
    /// others; at most 16 times as many of these are held. At least 1. Default 1,024.
    std::size_t prefetch = 1'024;
};

/// How the payload of an event becomes a T: its bytes are read by codec<T>. Specialise it for other
/// formats.
template <class T>
struct event_codec {
    /// Throws for a payload that is not a T: the event becomes a dead letter.
    static T decode(const stream_event& received) { return codec<T>::decode(received.payload); }
};

template <>
struct event_codec<stream_event> {
    static stream_event decode(const stream_event& received) { return received; }
};

/// For events of engine::events(), or of a topic that they were forwarded to.
template <>
struct event_codec<event> {
    static event decode(const stream_event& received) { return to_workflow_event(received); }
};

namespace detail {

/// A name that is unique among all events of a connector.
std::string event_name(const stream_event& event);

/// The idempotency key of an action of a connector for an event; `action` distinguishes several.
std::string connector_key(std::string_view connector, const stream_event& event,
                          std::string_view action);

/// One attempt to process an event.
struct event_state {
    std::string connector;
    stream_event event;
    int attempt = 1;
};

using connector_function = std::function<boost::asio::awaitable<void>(
    std::shared_ptr<engine_api>, std::shared_ptr<const event_state>)>;

/// A connector without its types.
struct connector_impl {
    std::string name;
    std::string workflow;
    std::shared_ptr<event_source> source;
    connector_function work;
    connector_options options;
};

} // namespace detail

/// An event that a connector processes, and the actions that happen exactly once for it. If a crash
/// falls between an action and the acknowledgement of the event, repeating the action has no
/// effect.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
template <class Object, class Status>
class event_context {
public:
    /// Made by the engine.
    event_context(pawl::client<Object, Status> client,
                  std::shared_ptr<const detail::event_state> state)
        : client_(std::move(client)), state_(std::move(state))
    {
    }

    /// The event.
    const stream_event& event() const noexcept { return state_->event; }

    /// The number of this attempt, from 1. Attempts before a restart are not counted.
    int attempt() const noexcept { return state_->attempt; }

    /// The client of the connector's workflow. Its operations are not bound to the event.
    pawl::client<Object, Status>& client() noexcept { return client_; }

    /// Returns a key for requests to other systems: the same in each attempt, and different for
    /// every other event of this connector. `action` distinguishes several requests for one event.
    std::string idempotency_key(std::string_view action = {}) const
    {
        return detail::connector_key(state_->connector, state_->event, action);
    }

    /// Starts a run, once for this event and `foreign_id`. A repetition returns the run that was
    /// started.
    ///
    /// The run belongs to the event's trace unless the options name another one. An idempotency key
    /// in the options distinguishes several runs of one foreign id.
    ///
    /// Completes: when the run is stored. Throws system_error.
    /// Durability: the run is in the store and is driven to its end, even if this process dies.
    /// Errors: already_running — the foreign id has an unfinished run that another event or caller
    /// started; the others of client::async_trigger().
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

    /// Sends a callback to a run, once for this event, run and name, and does not wait until it is
    /// handled. A repetition returns the outcome of the first one.
    ///
    /// An idempotency key in the options distinguishes several callbacks of one name.
    ///
    /// Completes: when the callback is in the run's inbox. Throws system_error.
    /// Durability: the callback is in the store and is handled even if this process dies.
    /// Errors: not_found — there is no such run, or not yet; already_finished — the run has
    /// finished; the others of client::async_send().
    template <class Payload>
    boost::asio::awaitable<settlement> send(run_ref run, std::string name, Payload payload,
                                            callback_options options = {})
    {
        options.idempotency_key = idempotency_key(std::to_string(name.size()) + "/" + name + "/" +
                                                  options.idempotency_key);
        auto settled = co_await client_.async_send(std::move(run), std::move(name), payload,
                                                   std::move(options), boost::asio::use_awaitable);
        co_return settled;
    }

    /// The same with the name and the payload type of a callback<Payload>: another payload does not
    /// compile.
    template <class Payload>
    boost::asio::awaitable<settlement> send(run_ref run, const callback<Payload>& declaration,
                                            std::type_identity_t<Payload> payload,
                                            callback_options options = {})
    {
        return send(std::move(run), declaration.name(), std::move(payload), std::move(options));
    }

    /// The same with a callback that has no payload.
    boost::asio::awaitable<settlement> send(run_ref run, const callback<void>& declaration,
                                            callback_options options = {})
    {
        return send(std::move(run), declaration.name(), bytes{}, std::move(options));
    }

private:
    pawl::client<Object, Status> client_;
    std::shared_ptr<const detail::event_state> state_;
};

namespace detail {

template <class Payload>
Payload decode_event(const stream_event& received)
{
    try {
        return event_codec<Payload>::decode(received);
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
connector_function make_connector(workflow<Object, Status> flow, Fn fn)
{
    constexpr bool fits = is_connector_function<Object, Status, Fn>();
    static_assert(fits,
                  "a connector's function is boost::asio::awaitable<void>(pawl::event_context<"
                  "Object, Status>&), or takes the event's payload after that; its call "
                  "operator is const");
    if constexpr (fits)
        return [flow = std::move(flow), fn = std::make_shared<const Fn>(std::move(fn))](
                   std::shared_ptr<engine_api> engine, std::shared_ptr<const event_state> state) {
            return call_connector<Fn, Object, Status>(
                fn, event_context<Object, Status>{client<Object, Status>{std::move(engine), flow},
                                                  std::move(state)});
        };
    else
        return {};
}

/// Sends each event to a topic.
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

/// Publishes each event.
struct publishing_function {
    std::shared_ptr<event_sink> sink;

    template <class Object, class Status>
    boost::asio::awaitable<void> operator()(event_context<Object, Status>& in) const
    {
        auto sent = in.event();
        if (sent.id.empty())
            sent.id = in.idempotency_key();
        std::vector<stream_event> batch{std::move(sent)};
        co_await sink->send(std::move(batch));
    }
};

} // namespace detail

/// Returns a function for engine::connect() that sends each event to a topic, once by its id. With
/// engine::events() as the source it publishes the transitions of a workflow.
inline detail::forwarding_function forward_to(std::shared_ptr<event_streamer> streamer,
                                              std::string topic)
{
    return {std::move(streamer), std::move(topic)};
}

/// Returns a function for engine::connect() that publishes each event to a sink, at least once and
/// with one id. While the broker is unavailable, the events wait and use up no attempts.
inline detail::publishing_function forward_to(std::shared_ptr<event_sink> sink)
{
    return {std::move(sink)};
}

} // namespace pawl
