#include "engine/run/limit_pool.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pawl::engine_detail {

namespace {

/// The default of limit_options::burst: so late may a timer be without a loss of rate.
constexpr double default_burst_microseconds = 100'000;

} // namespace

limit_pool::limit_pool(engine_limit& of, std::string pool_key, duration now)
    : limit(of), key(std::move(pool_key))
{
    apply_numbers(now);
}

std::size_t limit_pool::max_running() const
{
    const auto& concurrency = limit.numbers.concurrency;
    if (!concurrency)
        return std::numeric_limits<std::size_t>::max();
    const auto declared = static_cast<std::size_t>(*concurrency);
    return limit.leased ? std::min(leased, declared) : declared;
}

core::fill_rule limit_pool::rule() const
{
    const auto& numbers = limit.numbers;
    const auto rate = static_cast<double>(*numbers.rate) / static_cast<double>(numbers.per.count());
    const auto burst =
        numbers.burst ? static_cast<double>(*numbers.burst) : rate * default_burst_microseconds;
    return {rate * limit.share, std::max(1.0, burst * limit.share)};
}

void limit_pool::apply_numbers(duration now)
{
    if (!limit.numbers.rate)
        bucket_.reset();
    else if (bucket_)
        bucket_->change_rule(rule(), now);
    else
        bucket_.emplace(rule(), now);
}

limit_pool::shortage limit_pool::find_shortage(duration now)
{
    if (running >= max_running())
        return shortage::concurrency;
    return bucket_ && !bucket_->has_token(now) ? shortage::rate : shortage::none;
}

bool limit_pool::frees_soon(duration now)
{
    const auto next = bucket_ ? bucket_->next_token(now) : now;
    return next && *next <= now + std::chrono::seconds{1};
}

void limit_pool::take(duration now)
{
    ++running;
    if (bucket_)
        bucket_->take(now);
}

void limit_pool::release(bool unused, duration now)
{
    --running;
    if (bucket_ && unused)
        bucket_->give_back(now);
}

std::optional<duration> limit_pool::next_token(duration now)
{
    if (!bucket_ || running >= max_running())
        return std::nullopt;
    return bucket_->next_token(now);
}

bool limit_pool::is_idle(duration now)
{
    return running == 0 && lanes == 0 && leased == 0 && !is_queued && !wake_at &&
           (!bucket_ || bucket_->is_full(now));
}

} // namespace pawl::engine_detail
