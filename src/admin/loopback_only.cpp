#include "pawl/admin/authenticator.hpp"

#include <boost/asio/ip/address.hpp>

namespace pawl::admin {
namespace {

bool is_this_machine(const std::string& peer)
{
    if (peer == "unix")
        return true;
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(peer, error);
    return !error && address.is_loopback();
}

class loopback_authenticator final : public authenticator {
public:
    std::optional<identity> authenticate(const http::request& message) override
    {
        const bool is_forwarded = message.headers.contains("forwarded") ||
                                  message.headers.contains("x-forwarded-for") ||
                                  message.headers.contains("via");
        if (is_forwarded || !is_this_machine(message.peer))
            return std::nullopt;
        return identity{"local", role::admin, "loopback"};
    }

    bool is_remote() const noexcept override { return false; }
};

} // namespace

std::shared_ptr<authenticator> loopback_only()
{
    return std::make_shared<loopback_authenticator>();
}

} // namespace pawl::admin
