#include "nats/publisher.hpp"
#include "pawl/error.hpp"
#include "pawl/nats.hpp"

namespace pawl {

namespace asio = boost::asio;

namespace nats {

namespace {

class sink final : public event_sink {
public:
    sink(std::shared_ptr<nats_client> client, nats_sink_options options)
        : client_(std::move(client)),
          publisher_(std::make_shared<publisher>(*client_, std::move(options)))
    {
    }

    ~sink() override
    {
        asio::post(client_->context(), [sends = publisher_] { sends->stop(); });
    }

    asio::awaitable<void> send(std::vector<stream_event> events) override
    {
        if (events.empty())
            co_return;
        const auto batch = std::make_shared<publication_batch>();
        batch->events = std::move(events);
        asio::post(client_->context(), [sends = publisher_, batch] { sends->publish(batch); });
        co_await batch->end->wait();
        if (batch->failure)
            std::rethrow_exception(batch->failure);
    }

private:
    const std::shared_ptr<nats_client> client_;
    const std::shared_ptr<publisher> publisher_;
};

void require_sink_option(bool holds, const char* rule)
{
    if (!holds)
        throw definition_error(std::string{"nats_sink_options::"} + rule);
}

} // namespace

} // namespace nats

std::shared_ptr<event_sink> to_nats(std::shared_ptr<nats_client> client, nats_sink_options options)
{
    using namespace nats;
    constexpr std::size_t most_pending = 1'000'000;
    if (!client)
        throw definition_error("to_nats: the client must not be null");
    const bool is_subject =
        !options.subject.empty() && options.subject.find_first_of(" \t\r\n*>") == std::string::npos;
    require_sink_option(options.subject_of || is_subject,
                        "subject must not be empty, and must have no spaces and wildcards");
    require_sink_option(options.publish_timeout >= std::chrono::milliseconds{1} &&
                            options.publish_timeout <= std::chrono::minutes{10},
                        "publish_timeout must be from 1 ms to 10 min");
    require_sink_option(options.max_pending >= 1 && options.max_pending <= most_pending,
                        "max_pending must be from 1 to 1,000,000");
    return std::make_shared<sink>(std::move(client), std::move(options));
}

} // namespace pawl
