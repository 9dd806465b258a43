#include "nats/client.hpp"

#include "pawl/error.hpp"

namespace pawl {

using namespace nats;

namespace {

constexpr auto shortest_timeout = std::chrono::milliseconds{1};
constexpr auto longest_timeout = std::chrono::minutes{10};
constexpr std::size_t largest_buffer = 1UL << 30;

void require_client_option(bool holds, const char* rule)
{
    if (!holds)
        throw definition_error(std::string{"nats_options::"} + rule);
}

void check_options(const nats_options& options)
{
    const auto is_timeout = [](duration span) {
        return span >= shortest_timeout && span <= longest_timeout;
    };
    require_client_option(!options.servers.empty(), "servers must not be empty");
    require_client_option(is_timeout(options.connect_timeout),
                          "connect_timeout must be from 1 ms to 10 min");
    require_client_option(is_timeout(options.request_timeout),
                          "request_timeout must be from 1 ms to 10 min");
    require_client_option(is_timeout(options.reconnect_wait),
                          "reconnect_wait must be from 1 ms to 10 min");
    require_client_option(options.reconnect_buffer_bytes >= 1 &&
                              options.reconnect_buffer_bytes <= largest_buffer,
                          "reconnect_buffer_bytes must be from 1 to 1 GiB");
    require_client_option(options.password.empty() || !options.user.empty(),
                          "password needs a user");
    require_client_option(options.certificate_file.empty() == options.key_file.empty(),
                          "certificate_file and key_file must both be set, or neither");
}

using options_ptr = std::unique_ptr<::natsOptions, decltype(&natsOptions_Destroy)>;

/// What libnats reports of slow subscriptions: ours have no limit but what they have requested.
void ignore_error(natsConnection*, natsSubscription*, natsStatus, void*)
{
}

void set_credentials(::natsOptions* made, const nats_options& options)
{
    if (!options.user.empty())
        check_status(natsOptions_SetUserInfo(made, options.user.c_str(), options.password.c_str()),
                     "user");
    if (!options.token.empty())
        check_status(natsOptions_SetToken(made, options.token.c_str()), "token");
    if (!options.credentials_file.empty())
        check_status(natsOptions_SetUserCredentialsFromFiles(made, options.credentials_file.c_str(),
                                                             nullptr),
                     "credentials_file");
    if (!options.ca_file.empty())
        check_status(natsOptions_LoadCATrustedCertificates(made, options.ca_file.c_str()),
                     "ca_file");
    if (!options.certificate_file.empty())
        check_status(natsOptions_LoadCertificatesChain(made, options.certificate_file.c_str(),
                                                       options.key_file.c_str()),
                     "certificate_file");
    if (!options.ca_file.empty() || !options.certificate_file.empty())
        check_status(natsOptions_SetSecure(made, true), "TLS");
}

/// No callbacks with a closure: libnats may call them after the connection has been destroyed.
options_ptr make_options(const nats_options& options)
{
    ::natsOptions* raw = nullptr;
    check_status(natsOptions_Create(&raw), "options");
    options_ptr made{raw, natsOptions_Destroy};
    std::vector<const char*> servers;
    for (const auto& server : options.servers)
        servers.push_back(server.c_str());
    check_status(natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size())),
                 "servers");
    check_status(natsOptions_SetName(raw, options.name.c_str()), "name");
    check_status(natsOptions_SetTimeout(raw, milliseconds(options.connect_timeout)),
                 "connect_timeout");
    check_status(natsOptions_SetReconnectWait(raw, milliseconds(options.reconnect_wait)),
                 "reconnect_wait");
    check_status(natsOptions_SetMaxReconnect(raw, -1), "reconnect");
    check_status(
        natsOptions_SetReconnectBufSize(raw, static_cast<int>(options.reconnect_buffer_bytes)),
        "reconnect_buffer_bytes");
    check_status(natsOptions_SetFailRequestsOnDisconnect(raw, true), "requests");
    check_status(natsOptions_SetErrorHandler(raw, ignore_error, nullptr), "error handler");
    set_credentials(raw, options);
    return made;
}

} // namespace

namespace nats {

void check_status(natsStatus status, const std::string& action)
{
    if (status != NATS_OK)
        throw error(errc::broker_unavailable,
                    "NATS: " + action + ": " + natsStatus_GetText(status));
}

std::int64_t milliseconds(duration span)
{
    return std::chrono::ceil<std::chrono::milliseconds>(span).count();
}

} // namespace nats

nats_client::nats_client(nats_options options) : options_(std::move(options))
{
    check_options(options_);
    thread_ = std::thread{[this] {
        io_.run();
        nats_ReleaseThreadMemory();
    }};
}

/// Work that was posted before runs first.
nats_client::~nats_client()
{
    boost::asio::post(io_, [this] {
        disconnect();
        io_.stop();
    });
    thread_.join();
    jobs_->close();
}

natsConnection* nats_client::connection()
{
    if (connection_ && natsConnection_IsClosed(connection_))
        disconnect();
    if (!connection_)
        connect();
    return connection_;
}

jsCtx* nats_client::jetstream()
{
    connection();
    return jetstream_;
}

void nats_client::connect()
{
    const auto now = std::chrono::steady_clock::now();
    if (now < next_attempt_) // each attempt occupies the thread
        throw error(errc::broker_unavailable, last_error_);
    next_attempt_ = now + options_.reconnect_wait;
    try {
        const auto made = make_options(options_);
        check_status(natsConnection_Connect(&connection_, made.get()),
                     "connecting to " + options_.servers.front());
        jsOptions defaults;
        check_status(jsOptions_Init(&defaults), "JetStream");
        defaults.Wait = milliseconds(options_.request_timeout);
        check_status(natsConnection_JetStream(&jetstream_, connection_, &defaults), "JetStream");
    } catch (const error& failure) {
        last_error_ = failure.detail();
        disconnect();
        throw;
    }
    ++generation_;
}

void nats_client::disconnect()
{
    if (connection_ && natsConnection_Status(connection_) == NATS_CONN_STATUS_CONNECTED)
        natsConnection_FlushTimeout(connection_, milliseconds(options_.request_timeout));
    jsCtx_Destroy(std::exchange(jetstream_, nullptr));
    natsConnection_Destroy(std::exchange(connection_, nullptr));
}

std::uint64_t nats_client::reconnects()
{
    natsStatistics* raw = nullptr;
    if (!connection_ || natsStatistics_Create(&raw) != NATS_OK)
        return 0;
    const std::unique_ptr<natsStatistics, decltype(&natsStatistics_Destroy)> statistics{
        raw, natsStatistics_Destroy};
    std::uint64_t count = 0;
    if (natsConnection_GetStats(connection_, raw) != NATS_OK ||
        natsStatistics_GetCounts(raw, nullptr, nullptr, nullptr, nullptr, &count) != NATS_OK)
        return 0;
    return count;
}

std::shared_ptr<nats_client> open_nats(nats_options options)
{
    return std::make_shared<nats_client>(std::move(options));
}

} // namespace pawl
