#pragma once

#include "pawl/span.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace pawl::otlp {

/// The spans that wait to be sent, up to a number and a size. Counts those for which there is no
/// room.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class span_queue {
public:
    enum class added { dropped, queued, first, batch_full };

    span_queue(std::size_t max_spans, std::size_t max_bytes, std::size_t batch_spans)
        : max_spans_(max_spans), max_bytes_(max_bytes), batch_spans_(batch_spans)
    {
    }

    /// Without a lock: it is asked for each span. Counts a span that is then not made.
    bool has_room() noexcept
    {
        const bool has = size_.load(std::memory_order_relaxed) < max_spans_;
        if (!has)
            dropped_.fetch_add(1, std::memory_order_relaxed);
        return has;
    }

    added add(span finished);

    /// The oldest spans, at most one batch. After an empty batch the next add() returns `first`.
    std::vector<span> take();

    /// Drops further spans, and returns whether any wait.
    bool close();

    /// Drops all.
    void clear();

    bool has_batch() const noexcept { return size_.load() >= batch_spans_; }
    std::size_t size() const noexcept { return size_.load(); }
    std::uint64_t dropped() const noexcept { return dropped_.load(); }

private:
    struct entry {
        span content;
        std::size_t bytes = 0;
    };

    const std::size_t max_spans_;
    const std::size_t max_bytes_;
    const std::size_t batch_spans_;
    std::mutex mutex_;
    std::deque<entry> entries_;
    std::size_t bytes_ = 0;
    bool is_served_ = false; ///< somebody will call take()
    bool is_closed_ = false;
    std::atomic<std::size_t> size_{0};
    std::atomic<std::uint64_t> dropped_{0};
};

} // namespace pawl::otlp
