#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace pawl_bench {

/// Counts durations in nanoseconds with a fixed relative error, in constant memory and constant
/// time: the log-linear idea of Gil Tene's HdrHistogram (hdrhistogram.org). Each power of two is
/// cut into 128 equal buckets, so a bucket is at most 1/128 of its values wide; below 256 ns every
/// nanosecond has its own.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class histogram {
public:
    using duration = std::chrono::nanoseconds;

    /// A reported percentile is at most this fraction above a value that was recorded.
    static constexpr double relative_error = 1.0 / 128;

    /// Negative durations count as zero.
    void record(duration value, std::uint64_t times = 1)
    {
        const auto nanoseconds =
            static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
        buckets_[bucket_of(nanoseconds)] += times;
        count_ += times;
        max_ = std::max(max_, nanoseconds);
    }

    void add(const histogram& other)
    {
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }

    std::uint64_t count() const noexcept { return count_; }
    duration max() const noexcept { return duration{static_cast<std::int64_t>(max_)}; }

    /// The smallest recorded value, as its bucket's upper end, that `percent` of all values do not
    /// exceed; zero when nothing was recorded. Never above max().
    duration percentile(double percent) const
    {
        if (count_ == 0)
            return {};
        const auto share = std::ceil(static_cast<double>(count_) * percent / 100);
        const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(share), 1, count_);
        std::uint64_t seen = 0;
        std::size_t bucket = 0;
        while ((seen += buckets_[bucket]) < rank)
            ++bucket;
        return duration{static_cast<std::int64_t>(std::min(upper_end(bucket), max_))};
    }

private:
    static constexpr int precision = 7; ///< bits of a value that are kept below its highest
    static constexpr std::uint64_t half = std::uint64_t{1} << precision;

    static constexpr std::size_t bucket_of(std::uint64_t value) noexcept
    {
        const int shift = std::max(static_cast<int>(std::bit_width(value)) - 1 - precision, 0);
        return static_cast<std::size_t>(shift) * half + static_cast<std::size_t>(value >> shift);
    }

    static constexpr std::uint64_t upper_end(std::size_t bucket) noexcept
    {
        if (bucket < 2 * half)
            return bucket;
        const auto shift = bucket / half - 1;
        return (((bucket - shift * half) + 1) << shift) - 1;
    }

    std::array<std::uint64_t, (64 - precision + 1) * half> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

inline double microseconds(histogram::duration span)
{
    return std::chrono::duration<double, std::micro>(span).count();
}

} // namespace pawl_bench
