#pragma once

#include "streams/event_headers.hpp"

#include <nats/nats.h>

#include <functional>
#include <string>
#include <string_view>

namespace pawl::nats {

/// A message as it came from the server.
struct incoming_message {
    std::string subject;
    std::string reply;
    std::string data;
    streams::header_list headers;
    int status = 0; ///< of a message about a request, such as 408; 0 of a message of a stream
    std::string description; ///< of the status
};

/// A subscription to answers, on a subject of its own.
class inbox {
public:
    /// Called on a thread of libnats, one call at a time, also after the inbox is gone: it holds
    /// only weak references.
    using handler = std::function<void(incoming_message)>;

    /// Subscribes. Throws error (broker_unavailable).
    inbox(natsConnection* connection, handler on_message);
    ~inbox();

    inbox(const inbox&) = delete;
    inbox& operator=(const inbox&) = delete;

    /// The subject for answers to the request of this name, which is the last token of the answer's
    /// subject.
    std::string subject(std::string_view request) const;

private:
    std::string prefix_;
    natsSubscription* subscription_ = nullptr;
};

/// The last token of a subject.
std::string_view last_token(std::string_view subject);

} // namespace pawl::nats
