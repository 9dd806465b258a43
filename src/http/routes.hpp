#pragma once

#include "pawl/http/server.hpp"

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::http::detail {

/// Counts the requests of one route that are being answered. Any thread may use it.
class route_gate {
public:
    explicit route_gate(std::size_t most) noexcept : most_(most) {}

    /// False when the route has as many requests as it may have. Else leave() has to follow.
    bool enter() noexcept
    {
        if (inside_.fetch_add(1, std::memory_order_relaxed) < most_)
            return true;
        leave();
        return false;
    }
    void leave() noexcept { inside_.fetch_sub(1, std::memory_order_relaxed); }

private:
    const std::size_t most_;
    std::atomic<std::size_t> inside_ = 0;
};

/// What answers a path and method: a handler, or the reason why there is none.
struct route_match {
    const handler* answer = nullptr;

    /// Of the route that the path has, whether or not it knows the method.
    std::string_view pattern{};

    /// Set when the route has a limit on its requests.
    route_gate* gate = nullptr;

    /// By name; set with `answer`.
    std::map<std::string, std::string, std::less<>> captures;

    /// When the path is known and the method is not: the methods that are, for the Allow header.
    std::string allow;
};

/// A server's routes, checked and in the order in which they are tried.
///
/// The path decides first, then the method: where "/orders/search" and "/orders/{id}" both match a
/// path, the one with the earlier literal segment is the resource, even if only the other knows the
/// method.
class route_table {
public:
    /// @throws definition_error for a malformed or repeated route.
    explicit route_table(std::vector<route> routes);

    route_match find(std::string_view method, std::span<const std::string> segments) const;

private:
    enum class segment_kind { literal, capture, tail }; ///< in the order in which they are tried

    struct segment {
        segment_kind kind = segment_kind::literal;
        std::string text; ///< of a literal; empty for a capture
        bool operator==(const segment&) const = default;
    };

    struct method_answer {
        std::string method;
        std::vector<std::string> names; ///< of the captures, in order
        handler answer;
        std::unique_ptr<route_gate> gate; ///< only with a limit
    };

    struct resource {
        std::string pattern; ///< of the route that was added first
        std::vector<segment> segments;
        std::vector<method_answer> methods;
    };

    void add(route added);
    static bool matches(const resource& candidate, std::span<const std::string> segments);
    static bool tried_before(const resource& a, const resource& b);

    std::vector<resource> resources_;
};

} // namespace pawl::http::detail
