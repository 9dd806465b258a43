#include "nats/support.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace nats_test {

namespace {

void check(natsStatus status, const std::string& action)
{
    if (status != NATS_OK)
        throw std::runtime_error{action + ": " + natsStatus_GetText(status)};
}

} // namespace

administrator::administrator(const nats_server& server)
{
    natsOptions* options = nullptr;
    check(natsOptions_Create(&options), "options");
    natsOptions_SetURL(options, server.url().c_str());
    natsOptions_SetReconnectWait(options, 20);
    natsOptions_SetMaxReconnect(options, -1);
    natsOptions_SetFailRequestsOnDisconnect(options, true);
    const auto status = natsConnection_Connect(&connection_, options);
    natsOptions_Destroy(options);
    check(status, "connecting");
    jsOptions requests;
    jsOptions_Init(&requests);
    requests.Wait = 1'000; // a server that is starting loses requests
    check(natsConnection_JetStream(&jetstream_, connection_, &requests), "JetStream");
}

administrator::~administrator()
{
    jsCtx_Destroy(jetstream_);
    natsConnection_Destroy(connection_);
}

void administrator::add_stream(const std::string& name)
{
    const auto below = name + ".>";
    const char* subjects[] = {name.c_str(), below.c_str()};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = name.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 2;
    check(js_AddStream(nullptr, jetstream_, &config, nullptr, nullptr), "adding a stream");
}

void administrator::delete_stream(const std::string& name)
{
    check(js_DeleteStream(jetstream_, name.c_str(), nullptr, nullptr), "deleting a stream");
}

std::uint64_t administrator::publish(const std::string& subject, const std::string& data,
                                     std::map<std::string, std::string> headers)
{
    natsMsg* message = nullptr;
    check(natsMsg_Create(&message, subject.c_str(), nullptr, data.data(),
                         static_cast<int>(data.size())),
          "making a message");
    for (const auto& [name, value] : headers)
        check(natsMsgHeader_Set(message, name.c_str(), value.c_str()), "a header");
    jsPubAck* answer = nullptr;
    const auto status = js_PublishMsg(&answer, jetstream_, message, nullptr, nullptr);
    natsMsg_Destroy(message);
    check(status, "publishing");
    const auto sequence = answer->Sequence;
    jsPubAck_Destroy(answer);
    return sequence;
}

std::vector<stored_message> administrator::messages(const std::string& stream)
{
    jsStreamInfo* info = nullptr;
    check(js_GetStreamInfo(&info, jetstream_, stream.c_str(), nullptr, nullptr), "stream");
    const auto last = info->State.LastSeq;
    jsStreamInfo_Destroy(info);
    std::vector<stored_message> found;
    for (std::uint64_t sequence = 1; sequence <= last; ++sequence) {
        natsMsg* message = nullptr;
        if (js_GetMsg(&message, jetstream_, stream.c_str(), sequence, nullptr, nullptr) != NATS_OK)
            continue; // deleted
        stored_message copy;
        copy.subject = natsMsg_GetSubject(message);
        copy.data.assign(natsMsg_GetData(message),
                         static_cast<std::size_t>(natsMsg_GetDataLength(message)));
        const char** keys = nullptr;
        int count = 0;
        if (natsMsgHeader_Keys(message, &keys, &count) == NATS_OK)
            for (int i = 0; i < count; ++i) {
                const char* value = nullptr;
                natsMsgHeader_Get(message, keys[i], &value);
                copy.headers[keys[i]] = value ? value : "";
            }
        std::free(keys);
        natsMsg_Destroy(message);
        found.push_back(std::move(copy));
    }
    return found;
}

void administrator::delete_message(const std::string& stream, std::uint64_t sequence)
{
    check(js_DeleteMsg(jetstream_, stream.c_str(), sequence, nullptr, nullptr), "deleting");
}

void administrator::add_consumer(const std::string& stream, const std::string& name,
                                 std::int64_t max_deliver)
{
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Durable = name.c_str();
    config.AckPolicy = js_AckExplicit;
    config.MaxDeliver = max_deliver;
    check(js_AddConsumer(nullptr, jetstream_, stream.c_str(), &config, nullptr, nullptr),
          "adding a consumer");
}

void administrator::delete_consumer(const std::string& stream, const std::string& name)
{
    check(js_DeleteConsumer(jetstream_, stream.c_str(), name.c_str(), nullptr, nullptr),
          "deleting a consumer");
}

void administrator::take(const std::string& stream, const std::string& consumer, int count)
{
    const auto subject = "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer;
    const auto request = R"({"batch":)" + std::to_string(count) + "}";
    natsSubscription* subscription = nullptr;
    check(natsConnection_SubscribeSync(&subscription, connection_, "taken"), "subscribing");
    check(natsConnection_PublishRequest(connection_, subject.c_str(), "taken", request.data(),
                                        static_cast<int>(request.size())),
          "requesting");
    for (int i = 0; i < count; ++i) {
        natsMsg* message = nullptr;
        check(natsSubscription_NextMsg(&message, subscription, 10'000), "taking");
        natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(subscription);
}

administrator::consumer_state administrator::consumer(const std::string& stream,
                                                      const std::string& name)
{
    jsConsumerInfo* info = nullptr;
    const auto status =
        js_GetConsumerInfo(&info, jetstream_, stream.c_str(), name.c_str(), nullptr, nullptr);
    if (status == NATS_NOT_FOUND)
        return {};
    check(status, "consumer");
    const consumer_state state{info->NumAckPending, info->AckFloor.Stream, info->NumRedelivered,
                               info->Delivered.Consumer, info->Config->AckWait};
    jsConsumerInfo_Destroy(info);
    return state;
}

nats_server& server()
{
    static nats_server started;
    return started;
}

std::string new_stream()
{
    static std::atomic<int> count{0};
    return "stream" + std::to_string(++count);
}

pawl::nats_options options()
{
    pawl::nats_options made;
    made.servers = {server().url()};
    made.reconnect_wait = std::chrono::milliseconds{50};
    return made;
}

} // namespace nats_test
