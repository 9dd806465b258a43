// Redrive: finds the handler that a topic's dead letters belong to, and tries each letter again.
#include "core/dead_letter.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "pawl/workflow_events.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;
using engine_detail::redriver;

/// How to redrive letters of the topic; empty if it is not a dead-letter topic of this engine.
engine_core::letter_rules engine_core::rules_of(const std::string& topic)
{
    for (const auto& runner : connectors_)
        if (topic == dead_letter_topic(runner->connector().name))
            return {[connector = runner](stream_event letter) {
                        return connector->redrive(std::move(letter));
                    },
                    runner->connector().options.attempt_timeout};
    for (const auto& runner : hooks_)
        if (topic == hook_dead_letter_topic(runner->workflow()))
            return {[hooks = runner.get()](stream_event letter) {
                        return hooks->redrive(std::move(letter));
                    },
                    options_.hook_attempt_timeout};
    for (const auto& [name, entry] : shared_.workflows)
        if (requests_ && topic == request_dead_letter_topic(name))
            return {[runner = requests_](stream_event letter) {
                        return runner->redrive(std::move(letter));
                    },
                    duration{}};
    for (const auto& [name, entry] : shared_.workflows)
        if (topic == callback_dead_letter_topic(name))
            return {[self = this, workflow = entry.impl](stream_event letter) {
                        return self->send_again(workflow, std::move(letter));
                    },
                    duration{}};
    return {};
}

void engine_core::redrive(std::string topic, completion<redrive_result> done)
{
    launch(do_redrive(std::move(topic)), std::move(done));
}

asio::awaitable<redrive_result> engine_core::do_redrive(std::string topic)
{
    auto rules = rules_of(topic);
    if (!rules.try_letter)
        throw error(errc::invalid_argument,
                    "engine::async_redrive: \"" + topic +
                        "\" is not a dead-letter topic of a connector or workflow of this engine");
    const auto started = std::make_shared<redriver>(shared_, std::move(topic),
                                                    std::move(rules.try_letter), rules.limit);
    {
        const std::lock_guard lock{mutex_};
        std::erase_if(redrivers_, [](const auto& known) { return known.expired(); });
        redrivers_.push_back(started);
    }
    // This call cannot be cancelled; redriver::interrupt() cancels the current letter.
    auto result = co_await asio::co_spawn(started->strand(), started->run(), asio::use_awaitable);
    co_return result;
}

/// Sends the callback with its original key, so that it is not handled twice if it was sent again
/// meanwhile.
asio::awaitable<void> engine_core::send_again(std::shared_ptr<const workflow_impl> workflow,
                                              stream_event letter)
{
    namespace header = dead_letter_header;
    auto& headers = letter.headers;
    const auto run = parse_run_id(headers[event_header::run]);
    const auto sequence = std::strtoull(headers[header::message].c_str(), nullptr, 10);
    if (!run || sequence == 0)
        throw error(errc::decode_failed, "not a dead letter of a callback");
    const auto settled = co_await shared_.store.outcome(*run, sequence);
    if (settled && settled->outcome != message_outcome::failed)
        co_return; // the letter was stored, but not the settlement as failed
    send_call call;
    call.run = *run;
    call.kind = message_kind::callback;
    call.name = headers[header::callback];
    call.payload = std::move(letter.payload);
    if (const auto version = headers.find(header::payload_version); version != headers.end())
        call.payload_version =
            static_cast<std::uint32_t>(std::strtoul(version->second.c_str(), nullptr, 10));
    call.key = headers.contains(header::idempotency_key)
                   ? headers[header::idempotency_key]
                   : "pawl.redrive/" + std::to_string(sequence);
    call.wait_until_settled = false;
    co_await do_send(*workflow, std::move(call));
}

/// The caller holds the mutex.
void engine_core::interrupt_redrivers()
{
    for (const auto& known : redrivers_)
        if (const auto active = known.lock())
            active->interrupt();
}

} // namespace pawl::detail
