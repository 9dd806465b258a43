#include "nats/consumer.hpp"

#include "pawl/error.hpp"

#include <fmt/format.h>

#include <memory>

namespace pawl::nats {

namespace {

using info_ptr = std::unique_ptr<jsConsumerInfo, decltype(&jsConsumerInfo_Destroy)>;

[[noreturn]] void fail_request(const std::string& action, natsStatus status, jsErrCode code)
{
    throw error(errc::broker_unavailable,
                fmt::format("NATS: {}: {} (JetStream error {})", action, natsStatus_GetText(status),
                            static_cast<int>(code)));
}

/// Null if there is no such consumer, or no such stream.
info_ptr consumer_info(nats_client& client, const std::string& stream, const std::string& consumer)
{
    jsConsumerInfo* raw = nullptr;
    jsErrCode code{};
    const auto status = js_GetConsumerInfo(&raw, client.jetstream(), stream.c_str(),
                                           consumer.c_str(), nullptr, &code);
    info_ptr found{raw, jsConsumerInfo_Destroy};
    const bool is_missing = status == NATS_NOT_FOUND || code == JSStreamNotFoundErr;
    if (status != NATS_OK && !is_missing)
        fail_request("consumer " + consumer + " of stream " + stream, status, code);
    return found;
}

consumer_state state_of(const jsConsumerInfo& info)
{
    return {static_cast<std::size_t>(info.NumAckPending), info.Delivered.Stream};
}

void create_consumer(nats_client& client, const nats_source_options& options,
                     const std::string& consumer)
{
    jsConsumerConfig wanted;
    check_status(jsConsumerConfig_Init(&wanted), "consumer");
    wanted.Durable = consumer.c_str();
    wanted.AckPolicy = js_AckExplicit;
    wanted.AckWait = nanoseconds(options.ack_wait);
    wanted.MaxDeliver = -1;
    wanted.MaxAckPending = static_cast<std::int64_t>(options.max_ack_pending);
    wanted.DeliverPolicy = options.from == subscribe_from::latest ? js_DeliverNew : js_DeliverAll;
    if (!options.filter_subject.empty())
        wanted.FilterSubject = options.filter_subject.c_str();
    jsErrCode code{};
    const auto status = js_AddConsumer(nullptr, client.jetstream(), options.stream.c_str(), &wanted,
                                       nullptr, &code);
    if (status != NATS_OK)
        fail_request("creating consumer " + consumer + " of stream " + options.stream, status,
                     code);
}

/// An administrator may have made the consumer.
void check_settings(const jsConsumerConfig& config, const nats_source_options& options,
                    const std::string& consumer)
{
    const auto require = [&](bool holds, const char* rule) {
        if (!holds)
            throw error(errc::invalid_argument, fmt::format("consumer {} of stream {}: {}",
                                                            consumer, options.stream, rule));
    };
    require(!config.DeliverSubject || !*config.DeliverSubject, "it must be a pull consumer");
    require(config.AckPolicy == js_AckExplicit, "its acknowledgements must be explicit");
    require(config.MaxDeliver <= 0,
            "its number of deliveries must not be limited: the connector limits the attempts");
    require((config.FilterSubject ? config.FilterSubject : std::string{}) == options.filter_subject,
            "its filter subject differs from nats_source_options::filter_subject");
}

void update_settings(nats_client& client, jsConsumerConfig config,
                     const nats_source_options& options, const std::string& consumer)
{
    const auto wait = nanoseconds(options.ack_wait);
    const auto pending = static_cast<std::int64_t>(options.max_ack_pending);
    if (config.AckWait == wait && config.MaxAckPending == pending)
        return;
    config.AckWait = wait;
    config.MaxAckPending = pending;
    jsErrCode code{};
    const auto status = js_UpdateConsumer(nullptr, client.jetstream(), options.stream.c_str(),
                                          &config, nullptr, &code);
    if (status != NATS_OK)
        fail_request("updating consumer " + consumer, status, code);
}

} // namespace

std::optional<consumer_state> find_consumer(nats_client& client, const std::string& stream,
                                            const std::string& consumer)
{
    const auto found = consumer_info(client, stream, consumer);
    return found ? std::optional{state_of(*found)} : std::nullopt;
}

consumer_state prepare_consumer(nats_client& client, const nats_source_options& options,
                                const std::string& consumer)
{
    const auto found = consumer_info(client, options.stream, consumer);
    if (!found) {
        create_consumer(client, options, consumer);
        return {};
    }
    check_settings(*found->Config, options, consumer);
    update_settings(client, *found->Config, options, consumer);
    return state_of(*found);
}

std::int64_t nanoseconds(duration span)
{
    return std::chrono::nanoseconds{span}.count();
}

} // namespace pawl::nats
