#include "pawl/admin/authenticator.hpp"
#include "pawl/error.hpp"

#include <algorithm>

namespace pawl::admin {
namespace {

void check(const proxy_options& options)
{
    const auto require = [](bool holds, const char* text) {
        if (!holds)
            throw definition_error(std::string{"proxy_options::"} + text);
    };
    require(!options.addresses.empty(), "addresses is empty; it must have the proxy's address");
    require(!options.user_header.empty(), "user_header is empty; it must name a header");
    require(!options.groups_header.empty(), "groups_header is empty; it must name a header");
    require(!options.groups.empty(), "groups is empty; it must have at least one group");
}

std::string_view trim(std::string_view text)
{
    constexpr std::string_view blanks = " \t";
    const auto begin = std::min(text.find_first_not_of(blanks), text.size());
    text.remove_prefix(begin);
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

class proxy_authenticator final : public authenticator {
public:
    explicit proxy_authenticator(proxy_options options) : options_(std::move(options)) {}

    std::optional<identity> authenticate(const http::request& message) override
    {
        if (std::ranges::find(options_.addresses, message.peer) == options_.addresses.end())
            return std::nullopt;
        const auto name = trim(message.header(options_.user_header));
        const auto granted = role_of(message.header(options_.groups_header));
        if (name.empty() || !granted)
            return std::nullopt;
        return identity{std::string{name}, *granted, "proxy"};
    }

private:
    std::optional<role> role_of(std::string_view groups) const
    {
        std::optional<role> highest;
        while (!groups.empty()) {
            const auto comma = std::min(groups.find(','), groups.size());
            const auto group = trim(groups.substr(0, comma));
            groups.remove_prefix(std::min(comma + 1, groups.size()));
            for (const auto& [name, granted] : options_.groups)
                if (name == group && (!highest || granted > *highest))
                    highest = granted;
        }
        return highest;
    }

    const proxy_options options_;
};

} // namespace

std::shared_ptr<authenticator> trusted_proxy(proxy_options options)
{
    check(options);
    return std::make_shared<proxy_authenticator>(std::move(options));
}

} // namespace pawl::admin
