#include "nats/pull_reader.hpp"
#include "pawl/error.hpp"
#include "pawl/nats.hpp"
#include "pawl/offload.hpp"

#include <algorithm>

namespace pawl {

namespace asio = boost::asio;

namespace nats {

namespace {

constexpr std::size_t max_consumer_name = 255; ///< a limit of the server
constexpr auto shortest_ack_wait = std::chrono::milliseconds{100};
constexpr auto longest_ack_wait = std::chrono::hours{1};

/// The names of consumers are tokens of subjects. Stored by the server: never change.
std::string consumer_name(const std::string& consumer)
{
    constexpr char digits[] = "0123456789ABCDEF";
    std::string name;
    for (const char c : consumer) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        if (is_plain)
            name += c;
        else
            name += {'_', digits[byte / 16], digits[byte % 16]};
    }
    if (name.empty() || name.size() > max_consumer_name)
        throw error(errc::invalid_argument,
                    "the name of consumer \"" + name + "\" has " + std::to_string(name.size()) +
                        " bytes; it must have 1 to 255, with special bytes as three");
    return name;
}

class receiver final : public event_receiver {
public:
    receiver(std::shared_ptr<nats_client> client, std::shared_ptr<pull_reader> reader)
        : client_(std::move(client)), reader_(std::move(reader))
    {
    }

    ~receiver() override
    {
        asio::post(client_->context(), [reader = reader_] { reader->stop(); });
    }

    asio::awaitable<void> start()
    {
        co_await offload(client_->context(), [reader = reader_] { reader->start(); });
    }

    asio::awaitable<std::vector<stream_event>> receive(std::size_t limit) override
    {
        if (limit == 0)
            throw error(errc::invalid_argument, "event_receiver::receive: limit must be above 0");
        for (;;) {
            auto events = reader_->take(limit);
            if (!events.empty()) {
                request_more();
                co_return events;
            }
            co_await reader_->news().wait();
        }
    }

    asio::awaitable<void> ack(std::uint64_t position) override
    {
        const auto done = std::make_shared<acknowledgement>();
        asio::post(client_->context(),
                   [reader = reader_, position, done] { reader->acknowledge(position, done); });
        co_await done->end->wait();
        if (done->failure)
            std::rethrow_exception(done->failure);
    }

private:
    void request_more()
    {
        asio::post(client_->context(), [reader = reader_] {
            try {
                reader->request_more();
            } catch (const error&) { // the reader's tick tries again
            }
        });
    }

    const std::shared_ptr<nats_client> client_;
    const std::shared_ptr<pull_reader> reader_;
};

class source final : public event_source {
public:
    source(std::shared_ptr<nats_client> client, nats_source_options options)
        : client_(std::move(client)), options_(std::move(options))
    {
    }

    asio::awaitable<std::unique_ptr<event_receiver>> open(std::string consumer) override
    {
        auto opened = std::make_unique<receiver>(
            client_, std::make_shared<pull_reader>(*client_, options_, consumer_name(consumer)));
        co_await opened->start();
        co_return opened;
    }

private:
    const std::shared_ptr<nats_client> client_;
    const nats_source_options options_;
};

bool is_token(const std::string& name)
{
    return !name.empty() && std::ranges::none_of(name, [](char c) {
        return c <= ' ' || c > '~' || c == '.' || c == '*' || c == '>' || c == '/' || c == '\\';
    });
}

void require_source_option(bool holds, const std::string& rule)
{
    if (!holds)
        throw definition_error("nats_source_options::" + rule);
}

} // namespace

} // namespace nats

std::shared_ptr<event_source> from_nats(std::shared_ptr<nats_client> client,
                                        nats_source_options options)
{
    using namespace nats;
    constexpr std::size_t most_pending = 1'000'000, most_fetched = 10'000;
    if (!client)
        throw definition_error("from_nats: the client must not be null");
    require_source_option(is_token(options.stream),
                          "stream is \"" + options.stream + "\"; it must be the name of a stream");
    require_source_option(options.ack_wait >= shortest_ack_wait &&
                              options.ack_wait <= longest_ack_wait,
                          "ack_wait must be from 100 ms to 1 h");
    require_source_option(options.max_ack_pending >= 1 && options.max_ack_pending <= most_pending,
                          "max_ack_pending must be from 1 to 1,000,000");
    require_source_option(options.fetch_size >= 1 && options.fetch_size <= most_fetched,
                          "fetch_size must be from 1 to 10,000");
    require_source_option(options.fetch_bytes >= 1, "fetch_bytes must be at least 1");
    return std::make_shared<source>(std::move(client), std::move(options));
}

} // namespace pawl
