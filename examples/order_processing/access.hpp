#pragma once

#include "pawl/admin/authenticator.hpp"
#include "pawl/http/server.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing {

/// Bearer tokens, each with the name of its owner.
class token_set {
public:
    /// Without tokens: no request needs one.
    token_set() = default;

    /// Reads a file with a line "NAME TOKEN" for each. Empty lines and lines that begin with '#'
    /// are skipped. A token has 16 to 512 characters of those that RFC 6750 allows.
    /// @throws pawl::definition_error that names the file and the line, and no token.
    explicit token_set(const std::string& file);

    bool empty() const noexcept { return entries_.empty(); }

    /// Empty for an unknown token. How long it takes does not depend on which bytes are right.
    std::optional<std::string> owner_of(std::string_view token) const;

private:
    struct entry {
        std::string owner;
        std::string token;
    };
    std::vector<entry> entries_;
};

/// Reads a secret that is a file's only line.
/// @throws pawl::definition_error that names the file.
std::string read_secret(const std::string& file);

/// Who may send which requests. Operators may send the requests of customers, too.
struct access_rules {
    token_set customers;
    token_set operators;
};

/// Where the admin API is mounted.
inline constexpr std::string_view admin_prefix = "/admin";

/// For pawl::http::server_options::authorize: 401 without a known token, 403 for a customer's token
/// where an operator's is needed. `/healthz` and `/readyz` are open to everybody, and
/// the admin API, which has an authenticator of its own: admin_authenticator().
///
/// @param for_operators The patterns of the routes that only operators may use.
std::function<std::optional<pawl::http::response>(pawl::http::request&, std::string_view)>
authorize_by(std::shared_ptr<const access_rules> rules,
             std::set<std::string, std::less<>> for_operators);

/// For the admin API: each operator is an admin. Without tokens of operators, everybody on this
/// machine is, and nobody else.
std::shared_ptr<pawl::admin::authenticator>
admin_authenticator(std::shared_ptr<const access_rules> rules);

} // namespace order_processing
