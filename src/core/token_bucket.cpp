#include "core/token_bucket.hpp"

#include <algorithm>
#include <cmath>

namespace pawl::core {

namespace {

/// More than what rounding loses; at the smallest rate, the tokens of 3 ms in 30 days.
constexpr double rounding = 1e-9;

} // namespace

void token_bucket::fill(duration now)
{
    if (now <= filled_)
        return;
    const auto passed = static_cast<double>((now - filled_).count());
    tokens_ = std::min(rule_.capacity, tokens_ + passed * rule_.per_microsecond);
    filled_ = now;
}

void token_bucket::change_rule(fill_rule rule, duration now)
{
    fill(now);
    rule_ = rule;
    tokens_ = std::min(tokens_, rule_.capacity);
}

bool token_bucket::has_token(duration now)
{
    fill(now);
    return tokens_ + rounding >= 1 && rule_.per_microsecond > 0;
}

void token_bucket::take(duration now)
{
    fill(now);
    tokens_ = std::max(tokens_ - 1, 0.0);
}

void token_bucket::give_back(duration now)
{
    fill(now);
    tokens_ = std::min(rule_.capacity, tokens_ + 1);
}

bool token_bucket::is_full(duration now)
{
    fill(now);
    return tokens_ + rounding >= rule_.capacity;
}

std::optional<duration> token_bucket::next_token(duration now)
{
    if (rule_.per_microsecond <= 0)
        return std::nullopt;
    if (has_token(now))
        return now;
    const auto missing = (1 - tokens_) / rule_.per_microsecond;
    // A year is never: the sum must not overflow.
    constexpr double longest = 365.0 * 24 * 3600 * 1e6;
    return now + duration{static_cast<duration::rep>(std::ceil(std::min(missing, longest)))};
}

} // namespace pawl::core
