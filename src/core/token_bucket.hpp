#pragma once

#include "pawl/time.hpp"

#include <optional>

namespace pawl::core {

/// How fast a token_bucket fills, and how much it holds.
struct fill_rule {
    double per_microsecond = 0; ///< tokens; 0: none come
    double capacity = 1;        ///< tokens; at least 1, so that one can be taken

    friend bool operator==(const fill_rule&, const fill_rule&) = default;
};

/// A limit of a rate: a token is taken for each event, and tokens come back at a steady rate.
/// Begins full. Times are of a clock that is never set; an earlier time than the last one adds
/// nothing.
///
/// Source: the token bucket of RFC 2697, with one token for each event.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class token_bucket {
public:
    token_bucket(fill_rule rule, duration now) : rule_(rule), tokens_(rule.capacity), filled_(now)
    {
    }

    /// Tokens that have come so far came by the former rule.
    void change_rule(fill_rule rule, duration now);

    /// Whether a token can be taken.
    bool has_token(duration now);

    /// Takes a token. Precondition: has_token(now).
    void take(duration now);

    /// Returns a token that was not used.
    void give_back(duration now);

    bool is_full(duration now);

    /// When a token can be taken; empty: never.
    std::optional<duration> next_token(duration now);

private:
    void fill(duration now);

    fill_rule rule_;
    double tokens_;
    duration filled_; ///< the time to which tokens_ is counted
};

} // namespace pawl::core
