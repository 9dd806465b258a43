#pragma once

#include "admin/permission.hpp"
#include "pawl/admin.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
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

private:
    void check_host(const http::request& message) const;
    identity identify(const http::request& message);
    void check_change(const http::request& message) const;

    const std::shared_ptr<authenticator> authenticator_;
    const std::vector<std::string> hosts_;
    const std::size_t max_body_;
    sign_in_limiter limiter_;
};

/// Throws refusal unless the role has the permission.
void check_permission(const identity& sender, permission needed);

/// Adds the headers that each answer of the API has: no page runs a script of another origin, shows
/// the answer in a frame, or keeps it.
void add_security_headers(http::response& answer);

} // namespace pawl::admin::detail
