#pragma once

#include "pawl/event_sink.hpp"
#include "pawl/event_source.hpp"
#include "pawl/time.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pawl {

/// How to reach NATS servers with JetStream.
struct nats_options {
    /// URLs of the servers of one cluster, such as "nats://host:4222" or "tls://host:4222". Not
    /// empty. Default: a server on this machine.
    std::vector<std::string> servers = {"nats://127.0.0.1:4222"};

    /// The name of the connection in the server's monitoring. Default "pawl".
    std::string name = "pawl";

    std::string user;             ///< Default empty: no user and password.
    std::string password;         ///< Used with `user`.
    std::string token;            ///< Default empty: no token.
    std::string credentials_file; ///< A file with a JWT and an NKey seed. Default empty: none.

    std::string ca_file;          ///< Trusted certificates. Default empty: those of the system.
    std::string certificate_file; ///< A client certificate, with `key_file`. Default empty: none.
    std::string key_file;         ///< The key of the client certificate.

    /// The longest time to establish a connection. 1 ms to 10 min. Default 2 s.
    duration connect_timeout = std::chrono::seconds{2};

    /// How long an answer of JetStream is waited for. 1 ms to 10 min. Default 5 s.
    duration request_timeout = std::chrono::seconds{5};

    /// The pause between attempts to connect again. They go on without limit. 1 ms to 10 min.
    /// Default 500 ms.
    duration reconnect_wait = std::chrono::milliseconds{500};

    /// Bytes that are kept to be sent while the connection is lost; more is refused with
    /// broker_unavailable. 1 to 1 GiB. Default 8 MiB.
    std::size_t reconnect_buffer_bytes = 8UL << 20;
};

/// A connection to NATS, shared by sources and sinks. Made by open_nats().
///
/// It has a thread, on which all calls are made that may block, besides those of the NATS client
/// library. No thread of your executor waits for NATS. While the connection is lost it is made
/// again.
///
/// Lifetime: sources, receivers and sinks keep it alive. Destroying its last owner waits until
/// acknowledgements have been sent, for request_timeout at most.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class nats_client;

/// Makes a connection, which is established when it is first needed. The server need not run yet.
///
/// Errors: throws definition_error if an option is out of its range.
std::shared_ptr<nats_client> open_nats(nats_options options = {});

/// How a connector reads a stream.
struct nats_source_options {
    /// The name of the stream, which must exist when the source is opened. Not empty.
    std::string stream;

    /// Subjects to read; may contain wildcards. Default empty: all subjects of the stream.
    std::string filter_subject;

    /// Where a new consumer begins. Default beginning.
    subscribe_from from = subscribe_from::beginning;

    /// How long the server waits for an acknowledgement before it delivers a message again. While a
    /// receiver holds a message, it renews this time after each third of it, however slow the
    /// handler is. So this is the time after which another engine gets the messages of one that was
    /// killed; until it has them all, it waits with newer ones. 100 ms to 1 h. Default 10 s.
    duration ack_wait = std::chrono::seconds{10};

    /// Unacknowledged messages at which the server stops to deliver more. A connector acknowledges
    /// up to the first event that it has not processed, so one that waits for its retries holds
    /// back the acknowledgement of later ones. 1 to 1,000,000. Default 20,000, which is above the
    /// number of events that a connector with default options holds.
    std::size_t max_ack_pending = 20'000;

    /// Messages that are requested, or have been received and not been passed on, at a time. 1 to
    /// 10,000. Default 256.
    std::size_t fetch_size = 256;

    /// Bytes that are requested at a time. A message that is larger is never delivered, so the
    /// server's maximum payload must not be greater. Default 16 MiB.
    std::size_t fetch_bytes = 16UL << 20;

    /// Whether a message without a key has its subject as its key, so that the messages of one
    /// subject are processed in order, one at a time. False: such messages are independent, as for
    /// a stream whose messages all have one subject. Default true.
    bool key_from_subject = true;
};

/// Makes a source of the messages of a JetStream stream, read by a durable pull consumer.
///
/// The consumer is named after the connector; bytes other than letters, digits and '-' are written
/// as '_' and two hexadecimal digits. A missing consumer is created, with explicit acknowledgement
/// and no limit of deliveries. Of an existing one, ack_wait and max_ack_pending are updated.
///
/// An event has as its `id` the header Nats-Msg-Id, or else `ce-source` and `ce-id`, or else the
/// stream's name with the message's sequence and time. So a message starts a run once, however
/// often it is delivered. `key` and `type` are those of the headers of nats_sink or CloudEvents, or
/// else the subject; the header `nats_subject` is added with the subject.
///
/// A message is acknowledged when the connector has processed it, with an answer of the server. A
/// message that cannot be processed becomes a dead letter of the connector, see dead_letter.hpp,
/// and is acknowledged. A receiver that is destroyed gives its messages back at once.
///
/// Errors: throws definition_error if an option is out of its range. open() and receive() throw
/// error (broker_unavailable), or (invalid_argument) if the consumer has other settings than a
/// connector needs; the connector logs it and tries again.
std::shared_ptr<event_source> from_nats(std::shared_ptr<nats_client> client,
                                        nats_source_options options);

/// How events are published.
struct nats_sink_options {
    /// The subject of the messages. A stream must store it. Not empty, without wildcards, unless
    /// `subject_of` is set.
    std::string subject;

    /// Returns the subject for an event, in place of `subject`; called on a thread of the
    /// nats_client, one call at a time. Default: empty.
    std::function<std::string(const stream_event&)> subject_of{};

    /// The attribute `source` of CloudEvents, a URI such as "/orders". Then messages have the
    /// headers of CloudEvents too, in binary mode: ce-specversion, ce-id, ce-source, ce-type,
    /// ce-subject (the key), ce-time and ce-traceparent. Default empty: they have not.
    std::string cloud_events_source;

    /// How long the confirmation of JetStream is waited for. 1 ms to 10 min. Default 5 s.
    duration publish_timeout = std::chrono::seconds{5};

    /// Events that are published and not yet confirmed. More are refused with errc::overloaded. 1
    /// to 1,000,000. Default 4,096.
    std::size_t max_pending = 4'096;
};

/// Makes a sink that publishes events to JetStream, each with its id as Nats-Msg-Id: the stream
/// drops repetitions within its duplicate window, which should be longer than an outage.
///
/// The members of an event are in the headers Pawl-Event, Pawl-Id, Pawl-Key, Pawl-Type, Pawl-Time
/// and traceparent; its headers keep their names unless NATS would act on them. Values are
/// percent-encoded. from_nats() restores the event from them.
///
/// A confirmed event is as durable as the stream: by default a server with file storage flushes to
/// its disk every two minutes, so that a power loss may lose confirmed events of a stream without
/// replicas.
///
/// Errors: throws definition_error if an option is out of its range. Those of event_sink::send();
/// invalid_argument — the event is larger than the server's maximum payload, or the subject is
/// invalid; overloaded — see nats_sink_options::max_pending.
std::shared_ptr<event_sink> to_nats(std::shared_ptr<nats_client> client, nats_sink_options options);

} // namespace pawl
