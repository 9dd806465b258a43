#pragma once

#include "admin/permission.hpp"
#include "pawl/admin.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace pawl::admin::detail {

/// Counts failed sign-ins by address, for a minute at a time. Any thread may use it.
class sign_in_limiter {
public:
    explicit sign_in_limiter(std::size_t most) : most_(most) {}

    /// Whether the address has failed too often in this minute.
    bool is_blocked(const std::string& address);
    void note_failure(const std::string& address);

private:
    std::size_t& count_of(const std::string& address);

    const std::size_t most_;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point minute_end_{};
    std::map<std::string, std::size_t, std::less<>> failures_;
};

/// Decides whether a request is answered: its Host, its sender, what the sender may do, and whether
/// a browser may send it.
class guard {
public:
    explicit guard(const api_options& options);

    /// Returns the sender. Throws refusal.
    identity admit(const http::request& message, permission needed);

    /// Throws refusal unless users reach the API under the host of the request.
    void check_host(const http::request& message) const;

    /// Throws refusal unless a browser may send a request that changes something.
    void check_change(const http::request& message) const;

    /// Returns the sender, who has signed in by a header, or by the cookie of a session. Throws
    /// refusal if the sender is not known, and counts that.
    identity identify(const http::request& message);

    /// Whether the sender of an earlier request still has the permission. Counts nothing.
    bool is_admitted(const http::request& message, permission needed) const;

private:
    std::optional<identity> sender_of(const http::request& message) const;

    const std::shared_ptr<authenticator> authenticator_;
    const std::vector<std::string> hosts_;
    const std::size_t max_body_;
    sign_in_limiter limiter_;
};

/// Throws refusal unless the role has the permission.
void check_permission(const identity& sender, permission needed);

/// Adds the headers that each answer of the API has: no page runs a script of another origin, shows
/// the answer in a frame, or keeps it, unless the answer has a Cache-Control.
void add_security_headers(http::response& answer);

} // namespace pawl::admin::detail
