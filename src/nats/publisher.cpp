#include "nats/publisher.hpp"

#include "pawl/error.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <fmt/format.h>

namespace pawl::nats {

namespace {

using message_ptr = std::unique_ptr<natsMsg, decltype(&natsMsg_Destroy)>;

/// Why JetStream has not stored the event; empty if it has.
std::string problem_in(const incoming_message& answer)
{
    if (answer.status != 0)
        return answer.status == 503 ? "no stream stores the subject"
                                    : fmt::format("status {}", answer.status);
    boost::system::error_code problem;
    const auto json = boost::json::parse(answer.data, problem);
    if (problem || !json.is_object())
        return "the answer is not one of JetStream";
    const auto* const refusal = json.as_object().if_contains("error");
    if (!refusal)
        return {};
    const auto* const text =
        refusal->is_object() ? refusal->as_object().if_contains("description") : nullptr;
    return text && text->is_string() ? std::string{text->as_string()} : "JetStream refused it";
}

} // namespace

publisher::publisher(nats_client& client, nats_sink_options options)
    : client_(client), options_(std::move(options))
{
}

void publisher::publish(std::shared_ptr<publication_batch> batch)
{
    try {
        send_all(batch);
    } catch (...) {
        end(*batch, std::current_exception());
    }
}

void publisher::send_all(const std::shared_ptr<publication_batch>& batch)
{
    const auto count = batch->events.size();
    if (pending_.size() + count > options_.max_pending)
        throw error(errc::overloaded,
                    fmt::format("nats_sink_options::max_pending is {}; {} events wait for their "
                                "confirmation, and {} more were to be published",
                                options_.max_pending, pending_.size(), count));
    client_.connection();
    open_inbox();
    batch->unconfirmed = count;
    limit_time(batch);
    for (const auto& event : batch->events)
        send(event, batch);
}

/// Of each connection: the subscription to confirmations ends with it.
void publisher::open_inbox()
{
    if (inbox_ && generation_ == client_.generation())
        return;
    inbox_.reset();
    inbox_.emplace(client_.connection(),
                   [jobs = client_.jobs(), weak = weak_from_this()](auto message) {
                       jobs->post([weak, message = std::move(message)] {
                           if (const auto self = weak.lock())
                               self->on_message(message);
                       });
                   });
    generation_ = client_.generation();
}

void publisher::limit_time(const std::shared_ptr<publication_batch>& batch)
{
    const auto limit =
        std::make_shared<boost::asio::steady_timer>(client_.context(), options_.publish_timeout);
    batch->limit = limit;
    limit->async_wait([limit, weak = weak_from_this(), waiting = std::weak_ptr{batch},
                       span = options_.publish_timeout](boost::system::error_code cancelled) {
        const auto self = weak.lock();
        const auto late = waiting.lock();
        if (cancelled || !self || !late)
            return;
        self->end(*late,
                  std::make_exception_ptr(error(
                      errc::broker_unavailable,
                      fmt::format("NATS: {} of {} events were not confirmed within {} ms",
                                  late->unconfirmed, late->events.size(), milliseconds(span)))));
    });
}

void publisher::send(const stream_event& event, const std::shared_ptr<publication_batch>& batch)
{
    const auto subject = options_.subject_of ? options_.subject_of(event) : options_.subject;
    if (subject.empty() || subject.find_first_of(" \t\r\n*>") != std::string::npos)
        throw error(errc::invalid_argument,
                    "NATS: the subject \"" + subject + "\" is empty, or has a space or a wildcard");
    auto request = std::to_string(++last_request_);
    const auto reply = inbox_->subject(request);
    natsMsg* raw = nullptr;
    check_status(natsMsg_Create(&raw, subject.c_str(), reply.c_str(), event.payload.data(),
                                static_cast<int>(event.payload.size())),
                 "making a message");
    const message_ptr message{raw, natsMsg_Destroy};
    const auto headers =
        streams::write_event_headers(event, {"ce-", "Nats-Msg-Id", options_.cloud_events_source});
    for (const auto& [name, value] : headers)
        check_status(natsMsgHeader_Set(raw, name.c_str(), value.c_str()), "header " + name);
    const auto status = natsConnection_PublishMsg(client_.connection(), raw);
    if (status == NATS_MAX_PAYLOAD)
        throw error(errc::invalid_argument,
                    fmt::format("NATS: an event of {} bytes and its headers are larger than the "
                                "server's maximum payload, {} bytes",
                                event.payload.size(),
                                natsConnection_GetMaxPayload(client_.connection())));
    check_status(status, "publishing to " + subject);
    pending_.emplace(std::move(request), batch);
}

void publisher::on_message(const incoming_message& message)
{
    const auto found = pending_.find(std::string{last_token(message.subject)});
    if (found == pending_.end())
        return; // its batch has failed meanwhile
    const auto batch = std::move(found->second);
    pending_.erase(found);
    --batch->unconfirmed;
    if (const auto problem = problem_in(message); !problem.empty())
        end(*batch, std::make_exception_ptr(error(errc::broker_unavailable,
                                                  "NATS: an event was not stored: " + problem)));
    else if (batch->unconfirmed == 0)
        end(*batch, nullptr);
}

void publisher::end(publication_batch& batch, std::exception_ptr failure)
{
    if (std::exchange(batch.ended, true))
        return;
    if (failure)
        std::erase_if(pending_,
                      [&](const auto& waiting) { return waiting.second.get() == &batch; });
    if (const auto limit = batch.limit.lock())
        limit->cancel();
    batch.failure = std::move(failure);
    batch.end->set();
}

} // namespace pawl::nats
