#pragma once

#include "pawl/clock.hpp"
#include "pawl/http/message.hpp"
#include "pawl/log.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::admin {

/// What a user may do. Each role may do what the roles before it may do.
enum class role : std::uint8_t {
    viewer = 1, ///< reads runs, counts and schedules, without objects and payloads
    operator_,  ///< reads objects and payloads; starts, calls, pauses, resumes, cancels, retries
    admin,      ///< moves runs, deletes their data, reads the audit log
};

/// Returns "viewer", "operator" or "admin".
std::string_view to_string(role of) noexcept;

/// The inverse of to_string(), case-sensitive. Empty for any other text.
std::optional<role> parse_role(std::string_view text) noexcept;

/// Who has sent a request.
struct identity {
    std::string name; ///< recorded with each change
    role granted = role::viewer;
    std::string method; ///< how the user signed in: "token", "proxy", "loopback"
};

/// Decides who has sent a request: an extension point.
///
/// Thread safety: authenticate() is called from any thread of the server's executor, also
/// concurrently. It must not block for long.
class authenticator {
public:
    virtual ~authenticator() = default;

    /// Returns who has sent the request, or nothing if that is not known: it is then answered 401.
    virtual std::optional<identity> authenticate(const http::request& message) = 0;

    /// Whether it identifies users of other machines. If it does not, a server that other machines
    /// can reach refuses to start.
    virtual bool is_remote() const noexcept { return true; }

    /// The value of WWW-Authenticate in a 401; empty: no such header.
    virtual std::string challenge() const { return {}; }
};

/// Bearer tokens from a file, which holds their hashes.
///
/// A line is "NAME ROLE sha256:HEX", optionally with the time at which the token expires, such as
/// 2027-01-31T00:00:00Z. Empty lines and lines that begin with '#' are skipped. make_token() makes
/// a token and its line. The file is read again at the first request after its time or size has
/// changed, at most once a second. Only the tokens that it then has are valid, so that removing a
/// line, or the file, revokes tokens at once, also for open streams. A line that cannot be read is
/// reported by `log`, and the other lines count.
///
/// @param time The clock for expiry.
/// @throws definition_error that names the file and the line; the file must exist and have a token.
std::shared_ptr<authenticator> token_file(std::string file, log_sink log = log_to_stderr,
                                          std::shared_ptr<clock> time = default_clock());

/// A new token and its line in a token file.
struct token_line {
    std::string token; ///< 43 characters, 256 random bits; stored nowhere
    std::string line;
};

/// Makes a token. `expires` is written with whole seconds.
///
/// Errors: throws definition_error if the name is empty or has a space or a control character.
token_line make_token(std::string_view name, role granted,
                      std::optional<time_point> expires = std::nullopt);

/// Options of trusted_proxy().
struct proxy_options {
    /// Addresses of the proxy; "unix" is a Unix socket. Requests from other addresses are not
    /// identified. Required.
    std::vector<std::string> addresses;

    /// The header with the name of the user. The proxy must set it in each request, or remove it:
    /// else users can choose their names. In lower case. Default "x-forwarded-user".
    std::string user_header = "x-forwarded-user";

    /// The header with the groups of the user, separated by commas. In lower case. Default
    /// "x-forwarded-groups".
    std::string groups_header = "x-forwarded-groups";

    /// The groups whose users have a role; the highest role counts. A user without one of these
    /// groups is not identified. Default: groups of the names of the roles with the prefix "pawl-".
    std::vector<std::pair<std::string, role>> groups = {{"pawl-viewer", role::viewer},
                                                        {"pawl-operator", role::operator_},
                                                        {"pawl-admin", role::admin}};
};

/// Users that a trusted proxy names in headers. Signing in, for example with OpenID Connect, is the
/// task of the proxy.
/// @throws definition_error when an option is empty.
std::shared_ptr<authenticator> trusted_proxy(proxy_options options);

/// Everybody on this machine is an admin: for development. It does not identify requests from other
/// addresses, or requests that a proxy has forwarded.
std::shared_ptr<authenticator> loopback_only();

} // namespace pawl::admin
