#include "pawl/http/client.hpp"

#include "core/option_check.hpp"
#include "http/client_call.hpp"
#include "http/client_pool.hpp"
#include "http/executors.hpp"
#include "http/message_head.hpp"
#include "http/text.hpp"
#include "http/url.hpp"
#include "pawl/error.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::http {

namespace asio = boost::asio;

namespace {

detail::url checked_url(const std::string& url, const client_options& options)
{
    const core::option_check check{"client_options::"};
    check.above_zero("timeout", options.timeout);
    check.above_zero("place_timeout", options.place_timeout);
    check.at_least("attempt_delay", options.attempt_delay, duration::zero());
    check.at_least("address_lifetime", options.address_lifetime, duration::zero());
    check.at_least("max_connections", options.max_connections, 1);
    if (const auto fault = detail::find_fault(options.headers))
        throw definition_error(fmt::format("client_options::headers: {}", *fault));
    auto target = detail::parse_url(url);
    if (!target)
        throw definition_error(fmt::format(
            "'{}' is not of the form http://HOST[:PORT][/PATH], the same with https, or unix:PATH",
            url));
    check.require(options.ca_file.empty() || target->secure, "ca_file needs an https URL");
    return std::move(*target);
}

std::shared_ptr<detail::client_pool> make_pool(const asio::any_io_executor& executor,
                                               const std::string& url, client_options options)
{
    auto target = checked_url(url, options);
    std::shared_ptr<detail::tls_context> tls;
    if (target.secure)
        tls = detail::tls_context::for_client(options.ca_file);
    return std::make_shared<detail::client_pool>(detail::new_strand(executor), std::move(target),
                                                 std::move(options), std::move(tls));
}

/// Adds the headers of client_options that the request does not set itself.
void add_headers(client_request& sent, const detail::header_list& headers)
{
    for (const auto& common : headers)
        if (std::ranges::none_of(sent.headers, [&](const auto& header) {
                return detail::equal_ignoring_case(header.first, common.first);
            }))
            sent.headers.push_back(common);
}

/// Runs on the caller's executor. The call itself runs on the client's strand.
asio::awaitable<client_response> perform(std::shared_ptr<detail::client_call> call)
{
    // Cancellation calls client_call::cancel(); the coroutine itself gets no cancellation slot.
    const auto cancellation = co_await asio::this_coro::cancellation_state;
    auto slot = cancellation.slot();
    if (slot.is_connected())
        slot.assign([weak = std::weak_ptr(call)](asio::cancellation_type) {
            if (auto running = weak.lock())
                asio::post(running->strand(), [running] { running->cancel(); });
        });
    auto received = co_await asio::co_spawn(
        call->strand(), call->run(call),
        asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable));
    co_return received;
}

} // namespace

class client::impl {
public:
    impl(const asio::any_io_executor& executor, std::string url, client_options options)
        : url_(std::move(url)), pool_(make_pool(executor, url_, std::move(options)))
    {
    }

    /// Pending requests share the pool.
    ~impl()
    {
        asio::post(pool_->strand(), [pool = pool_] { pool->close(); });
    }

    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;

    asio::awaitable<client_response> request(client_request sent) const
    {
        if (const auto fault = detail::find_fault(sent))
            throw error(errc::invalid_argument,
                        fmt::format("{} {}{}: {}", sent.method, url_, sent.target, *fault));
        add_headers(sent, pool_->options().headers);
        return perform(std::make_shared<detail::client_call>(pool_, std::move(sent)));
    }

    const std::string& url() const noexcept { return url_; }

private:
    std::string url_;
    std::shared_ptr<detail::client_pool> pool_;
};

client::client(asio::any_io_executor executor, std::string url, client_options options)
    : impl_(std::make_shared<impl>(executor, std::move(url), std::move(options)))
{
}

client::~client() = default;
client::client(client&&) noexcept = default;

asio::awaitable<client_response> client::request(client_request sent)
{
    return impl_->request(std::move(sent));
}

const std::string& client::url() const noexcept
{
    return impl_->url();
}

} // namespace pawl::http
