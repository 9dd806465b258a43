// What an engine has to do with dead letters: who failed, and how they are tried once more.
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

/// What a letter of this topic is tried with; empty when the topic is not one of this engine's.
engine_core::letter_rules engine_core::rules_of(const std::string& topic)
{
    for (const auto& runner : connectors_)
        if (topic == dead_letter_topic(runner->connector().name))
            return {[to = runner](stream_event letter) { return to->redrive(std::move(letter)); },
                    runner->connector().options.attempt_timeout};
    for (const auto& runner : hooks_)
        if (topic == hook_dead_letter_topic(runner->workflow()))
            return {
                [to = runner.get()](stream_event letter) { return to->redrive(std::move(letter)); },
                options_.hook_attempt_limit};
    for (const auto& [name, entry] : shared_.workflows)
        if (topic == callback_dead_letter_topic(name))
            return {[self = this, of = entry.impl](stream_event letter) {
                        return self->deliver_again(of, std::move(letter));
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
                        "\" is no topic of dead letters of a connector or workflow of this engine");
    const auto driving = std::make_shared<redriver>(shared_, std::move(topic),
                                                    std::move(rules.try_letter), rules.limit);
    {
        const std::lock_guard lock{mutex_};
        std::erase_if(redrivers_, [](const auto& each) { return each.expired(); });
        redrivers_.push_back(driving);
    }
    // Not cancelled through this: see redriver::interrupt().
    auto result = co_await asio::co_spawn(driving->strand(), driving->run(), asio::use_awaitable);
    co_return result;
}

/// By the key that it had: if it was sent again meanwhile, it is not handled twice.
asio::awaitable<void> engine_core::deliver_again(std::shared_ptr<const workflow_impl> workflow,
                                                 stream_event letter)
{
    namespace header = dead_letter_header;
    auto& headers = letter.headers;
    const auto run = parse_run_id(headers[event_header::run]);
    const auto sequence = std::strtoull(headers[header::message].c_str(), nullptr, 10);
    if (!run || sequence == 0)
        throw error(errc::decode_failed, "it is no dead letter of a callback");
    const auto settled = co_await shared_.store.outcome(*run, sequence);
    if (settled && settled->outcome != message_outcome::failed)
        co_return; // the letter was stored, and the failure was not
    send_call call;
    call.to = *run;
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
    for (const auto& each : redrivers_)
        if (const auto driving = each.lock())
            driving->interrupt();
}

} // namespace pawl::detail
