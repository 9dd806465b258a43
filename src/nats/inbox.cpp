#include "nats/inbox.hpp"

#include "nats/client.hpp"

#include <cstdlib>
#include <memory>

namespace pawl::nats {

namespace {

streams::header_list headers_of(natsMsg* message)
{
    streams::header_list headers;
    const char** raw = nullptr;
    int count = 0;
    if (natsMsgHeader_Keys(message, &raw, &count) != NATS_OK)
        return headers;
    const std::unique_ptr<const char*, decltype(&std::free)> keys{raw, std::free};
    for (int i = 0; i < count; ++i) {
        const char** raw_values = nullptr;
        int value_count = 0;
        if (natsMsgHeader_Values(message, raw[i], &raw_values, &value_count) != NATS_OK)
            continue;
        const std::unique_ptr<const char*, decltype(&std::free)> values{raw_values, std::free};
        for (int k = 0; k < value_count; ++k)
            headers.emplace_back(raw[i], raw_values[k]);
    }
    return headers;
}

incoming_message copy_of(natsMsg* message)
{
    incoming_message copy;
    copy.subject = natsMsg_GetSubject(message);
    if (const char* reply = natsMsg_GetReply(message))
        copy.reply = reply;
    copy.data.assign(natsMsg_GetData(message),
                     static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    copy.headers = headers_of(message);
    // A message of a stream has a subject for its acknowledgement; a publisher may have given it
    // any headers.
    if (copy.reply.empty() && copy.data.empty())
        for (const auto& [name, value] : copy.headers) {
            if (name == "Status")
                copy.status = std::atoi(value.c_str());
            if (name == "Description")
                copy.description = value;
        }
    return copy;
}

void deliver(natsConnection*, natsSubscription*, natsMsg* raw, void* closure)
try {
    const std::unique_ptr<natsMsg, decltype(&natsMsg_Destroy)> message{raw, natsMsg_Destroy};
    (*static_cast<inbox::handler*>(closure))(copy_of(raw));
} catch (...) { // no memory: the server delivers again what is not acknowledged
}

/// libnats calls it after the last message: only then may the handler go.
void release(void* closure)
{
    delete static_cast<inbox::handler*>(closure);
}

} // namespace

inbox::inbox(natsConnection* connection, handler on_message)
{
    natsInbox* raw = nullptr;
    check_status(natsInbox_Create(&raw), "inbox");
    prefix_ = raw;
    natsInbox_Destroy(raw);
    prefix_ += '.';
    auto closure = std::make_unique<handler>(std::move(on_message));
    check_status(natsConnection_Subscribe(&subscription_, connection, (prefix_ + '*').c_str(),
                                          deliver, closure.get()),
                 "subscribing");
    void* const owned = closure.release();
    natsSubscription_SetPendingLimits(subscription_, -1, -1); // requests limit what comes
    if (natsSubscription_SetOnCompleteCB(subscription_, release, owned) != NATS_OK) {
        // It was closed meanwhile, together with its connection; the handler is left behind.
        natsSubscription_Destroy(std::exchange(subscription_, nullptr));
        check_status(NATS_CONNECTION_CLOSED, "subscribing");
    }
}

inbox::~inbox()
{
    natsSubscription_Unsubscribe(subscription_);
    natsSubscription_Destroy(subscription_);
}

std::string inbox::subject(std::string_view request) const
{
    return prefix_ + std::string{request};
}

std::string_view last_token(std::string_view subject)
{
    return subject.substr(subject.rfind('.') + 1);
}

} // namespace pawl::nats
