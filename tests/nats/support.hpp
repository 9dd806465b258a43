// A server for all tests of a program, and what an administrator does with its streams.
#pragma once

#include "nats/server.hpp"
#include "pawl/nats.hpp"

#include <nats/nats.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nats_test {

/// A message of a stream, as another program reads it.
struct stored_message {
    std::string subject;
    std::string data;
    std::map<std::string, std::string> headers;
};

/// A connection of a program that knows nothing of Pawl.
class administrator {
public:
    explicit administrator(const nats_server& server);
    ~administrator();

    administrator(const administrator&) = delete;
    administrator& operator=(const administrator&) = delete;

    /// Makes a stream of this name, for the subjects NAME and NAME.>.
    void add_stream(const std::string& name);
    void delete_stream(const std::string& name);

    /// Publishes, and returns the sequence. With an id it is the header Nats-Msg-Id.
    std::uint64_t publish(const std::string& subject, const std::string& data,
                          std::map<std::string, std::string> headers = {});

    /// All messages of a stream.
    std::vector<stored_message> messages(const std::string& stream);

    void delete_message(const std::string& stream, std::uint64_t sequence);
    void add_consumer(const std::string& stream, const std::string& name,
                      std::int64_t max_deliver = -1);
    void delete_consumer(const std::string& stream, const std::string& name);

    /// Takes messages as a program does that is killed then: it acknowledges nothing.
    void take(const std::string& stream, const std::string& consumer, int count);

    struct consumer_state {
        std::int64_t ack_pending = 0;
        std::uint64_t ack_floor = 0; ///< in the stream
        std::int64_t redelivered = 0;
        std::uint64_t delivered = 0; ///< deliveries, of the consumer
        std::int64_t ack_wait = 0;   ///< nanoseconds
    };
    /// Zeros if there is no such consumer.
    consumer_state consumer(const std::string& stream, const std::string& name);

private:
    natsConnection* connection_ = nullptr;
    jsCtx* jetstream_ = nullptr;
};

/// The server of this program.
nats_server& server();

/// The name of a new stream.
std::string new_stream();

/// Options that reach the server.
pawl::nats_options options();

} // namespace nats_test
