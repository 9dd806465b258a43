#include "nats/pull_reader.hpp"

#include "nats/consumer.hpp"
#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pawl::nats {

namespace {

/// How often a reader looks whether the connection was lost, and requests again what was lost.
constexpr auto tick_interval = std::chrono::milliseconds{200};

/// How long the server keeps a request that it cannot fulfill.
constexpr auto request_duration = std::chrono::seconds{30};

/// The server says so often that it still has the request.
constexpr auto heartbeat_interval = std::chrono::seconds{1};

/// After so long a silence the request counts as lost.
constexpr auto longest_silence = std::chrono::seconds{3};

constexpr int no_responders = 503;
constexpr int conflict = 409;

constexpr std::string_view acknowledged = "+ACK", not_acknowledged = "-NAK", in_progress = "+WPI";

constexpr streams::event_header_rules header_rules{"ce-", "Nats-Msg-Id", {}};

} // namespace

pull_reader::pull_reader(nats_client& client, nats_source_options options, std::string consumer)
    : client_(client), options_(std::move(options)), consumer_(std::move(consumer)),
      timer_(client.context())
{
}

void pull_reader::start()
{
    auto* const connection = client_.connection();
    generation_ = client_.generation();
    reconnects_ = client_.reconnects();
    const auto state = prepare_consumer(client_, options_, consumer_);
    tracker_.emplace(state.pending, state.delivered);
    inbox_.emplace(connection, [jobs = client_.jobs(), weak = weak_from_this()](auto message) {
        jobs->post([weak, message = std::move(message)]() mutable {
            if (const auto self = weak.lock(); self && !self->stopped_)
                self->on_message(std::move(message));
        });
    });
    next_renewal_ = clock::now() + options_.ack_wait / 3;
    request_more();
    schedule_tick();
}

/// One request at a time. Throws error (broker_unavailable).
void pull_reader::request_more()
{
    if (stopped_ || requested_ > 0)
        return;
    std::size_t taken = 0;
    {
        const std::lock_guard lock{mutex_};
        if (failure_)
            return;
        taken = ready_.size();
    }
    if (taken >= options_.fetch_size)
        return;
    const auto count = options_.fetch_size - taken;
    const auto request = fmt::format(
        R"({{"batch":{},"max_bytes":{},"expires":{},"idle_heartbeat":{}}})", count,
        options_.fetch_bytes, nanoseconds(request_duration), nanoseconds(heartbeat_interval));
    const auto subject = fmt::format("$JS.API.CONSUMER.MSG.NEXT.{}.{}", options_.stream, consumer_);
    check_status(natsConnection_PublishRequest(client_.connection(), subject.c_str(),
                                               inbox_->subject("pull").c_str(), request.data(),
                                               static_cast<int>(request.size())),
                 "requesting messages");
    requested_ = count;
    last_sign_ = clock::now();
}

void pull_reader::on_message(incoming_message message)
try {
    const auto request = last_token(message.subject);
    std::uint64_t acknowledgement = 0;
    std::from_chars(request.data(), request.data() + request.size(), acknowledgement);
    if (acknowledgement != 0 && message.reply.empty())
        on_answer(acknowledgement, message.status);
    else if (message.status != 0)
        on_status(message);
    else
        on_delivery(std::move(message));
} catch (...) {
    fail(std::current_exception());
}

/// Without anybody who answers, the server is starting, or the consumer is gone.
void pull_reader::on_answer(std::uint64_t acknowledgement, int status)
{
    if (status == 0)
        end_acknowledgement(acknowledgement, nullptr);
    else
        doubts_consumer_ = true;
}

/// The request has ended. The next one is made by the next tick, so that a server that refuses is
/// not asked without a pause.
void pull_reader::on_status(const incoming_message& message)
{
    constexpr int heartbeat = 100;
    last_sign_ = clock::now();
    if (message.status == heartbeat)
        return;
    requested_ = 0;
    doubts_consumer_ = doubts_consumer_ || message.status == no_responders;
    if (message.status == conflict && message.description.find("Deleted") != std::string::npos)
        throw error(
            errc::broker_unavailable,
            fmt::format("NATS: consumer {} of stream {} was deleted", consumer_, options_.stream));
}

void pull_reader::on_delivery(incoming_message message)
{
    const auto origin = parse_origin(message.reply);
    if (!origin)
        return; // not from the stream: anybody may send to the inbox
    requested_ -= requested_ > 0 ? 1 : 0;
    last_sign_ = clock::now();
    auto event = make_event(message, *origin);
    switch (tracker_->add({*origin, message.reply, std::move(event)})) {
    case delivery_tracker::outcome::accepted:
        pass_on();
        break;
    case delivery_tracker::outcome::known:
        publish(message.reply, in_progress);
        break;
    case delivery_tracker::outcome::acknowledged:
        publish(message.reply, acknowledged);
        break;
    case delivery_tracker::outcome::went_back:
        throw error(
            errc::broker_unavailable,
            fmt::format("NATS: stream {} was replaced by another of this name", options_.stream));
    }
    if (requested_ == 0)
        request_more();
}

stream_event pull_reader::make_event(incoming_message& message, const message_origin& origin) const
{
    stream_event event;
    event.at = time_point{
        std::chrono::duration_cast<duration>(std::chrono::nanoseconds{origin.stored_at})};
    event.payload = std::move(message.data);
    streams::read_event_headers(message.headers, header_rules, event);
    if (event.id.empty())
        event.id = fmt::format("{}/{}/{}", origin.stream, origin.sequence, origin.stored_at);
    if (event.key.empty() && options_.key_from_subject)
        event.key = message.subject;
    if (event.type.empty())
        event.type = message.subject;
    event.headers["nats_subject"] = std::move(message.subject);
    return event;
}

void pull_reader::pass_on()
{
    auto events = tracker_->take_events();
    if (events.empty())
        return;
    {
        const std::lock_guard lock{mutex_};
        std::ranges::move(events, std::back_inserter(ready_));
    }
    news_->set();
}

void pull_reader::fail(std::exception_ptr failure)
{
    {
        const std::lock_guard lock{mutex_};
        if (!failure_)
            failure_ = std::move(failure);
    }
    news_->set();
}

std::vector<stream_event> pull_reader::take(std::size_t limit)
{
    const std::lock_guard lock{mutex_};
    std::vector<stream_event> events;
    for (; !ready_.empty() && events.size() < limit; ready_.pop_front())
        events.push_back(std::move(ready_.front()));
    if (events.empty() && failure_)
        std::rethrow_exception(failure_);
    return events;
}

void pull_reader::schedule_tick()
{
    timer_.expires_after(tick_interval);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code) {
        if (const auto self = weak.lock(); self && !self->stopped_)
            self->tick();
    });
}

void pull_reader::tick()
{
    try {
        check_connection();
        repeat_acknowledgements();
        if (clock::now() >= next_renewal_) {
            renew_held();
            check_hold();
        }
        if (requested_ > 0 && clock::now() - last_sign_ > longest_silence) {
            requested_ = 0;
            doubts_consumer_ = true;
        }
        request_more();
    } catch (const error& failure) {
        // While the connection is lost, the reader waits; libnats makes it again.
        if (failure.code() != errc::broker_unavailable || generation_ != client_.generation())
            fail(std::current_exception());
    }
    schedule_tick();
}

void pull_reader::check_connection()
{
    client_.connection();
    if (generation_ != client_.generation())
        throw error(errc::broker_unavailable, "NATS: the connection was closed");
    if (const auto count = client_.reconnects(); count != reconnects_) {
        reconnects_ = count;
        requested_ = 0;
        next_renewal_ = {};
    }
    if (!doubts_consumer_)
        return;
    const auto found = find_consumer(client_, options_.stream, consumer_);
    doubts_consumer_ = false;
    if (!found)
        fail(std::make_exception_ptr(
            error(errc::broker_unavailable, fmt::format("NATS: consumer {} of stream {} is gone",
                                                        consumer_, options_.stream))));
}

/// Renews the time of all messages that the receiver has, so that the server does not deliver them
/// again.
void pull_reader::renew_held()
{
    next_renewal_ = clock::now() + options_.ack_wait / 3;
    for (const auto& reply : tracker_->open_replies())
        publish(reply, in_progress);
}

/// Messages of an earlier receiver may have been removed from the stream: then they are not waited
/// for.
void pull_reader::check_hold()
{
    if (!tracker_->holds())
        return;
    const auto state = find_consumer(client_, options_.stream, consumer_);
    if (!state || state->pending > tracker_->unacknowledged())
        return;
    tracker_->end_hold();
    pass_on();
}

/// The last acknowledgement is answered when the server has processed all of them.
void pull_reader::acknowledge(std::uint64_t position, std::shared_ptr<acknowledgement> done)
{
    auto replies = tracker_->acknowledge(position);
    if (replies.empty()) {
        done->end->set();
        return;
    }
    const auto request = ++last_acknowledgement_;
    unanswered_[request] = {std::move(replies.back()),
                            clock::now() + client_.options().request_timeout, std::move(done)};
    replies.pop_back();
    try {
        for (const auto& reply : replies)
            publish(reply, acknowledged);
        ask_for_answer(request, unanswered_.at(request).reply);
    } catch (...) {
        end_acknowledgement(request, std::current_exception());
    }
}

void pull_reader::ask_for_answer(std::uint64_t request, const std::string& reply)
{
    if (generation_ != client_.generation())
        throw error(errc::broker_unavailable, "NATS: the connection was closed");
    check_status(natsConnection_PublishRequest(client_.connection(), reply.c_str(),
                                               inbox_->subject(std::to_string(request)).c_str(),
                                               acknowledged.data(),
                                               static_cast<int>(acknowledged.size())),
                 "acknowledging");
}

/// A server that is starting loses requests.
void pull_reader::repeat_acknowledgements()
{
    std::vector<std::uint64_t> late;
    for (const auto& [request, waiting] : unanswered_)
        if (clock::now() >= waiting.give_up_at)
            late.push_back(request);
        else
            ask_for_answer(request, waiting.reply);
    for (const auto request : late)
        end_acknowledgement(
            request, std::make_exception_ptr(error(errc::broker_unavailable,
                                                   "NATS: an acknowledgement was not answered")));
}

void pull_reader::end_acknowledgement(std::uint64_t request, const std::exception_ptr& failure)
{
    const auto found = unanswered_.find(request);
    if (found == unanswered_.end())
        return; // answered twice
    const auto waiter = std::move(found->second.waiter);
    unanswered_.erase(found);
    waiter->failure = failure;
    waiter->end->set();
}

void pull_reader::publish(const std::string& subject, std::string_view text)
{
    check_status(natsConnection_Publish(client_.connection(), subject.c_str(), text.data(),
                                        static_cast<int>(text.size())),
                 "acknowledging");
}

void pull_reader::stop() noexcept
try {
    stopped_ = true;
    timer_.cancel();
    for (auto& [request, waiting] : std::exchange(unanswered_, {}))
        waiting.waiter->end->set(); // nobody waits
    inbox_.reset();                 // before the messages are given back, or they would come here
    if (!tracker_ || generation_ != client_.generation())
        return;
    for (const auto& reply : tracker_->open_replies())
        publish(reply, not_acknowledged);
} catch (...) { // the server delivers them again after ack_wait
}

} // namespace pawl::nats
