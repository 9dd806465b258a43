#include "otlp/span_queue.hpp"

#include <algorithm>
#include <utility>

namespace pawl::otlp {

namespace {

std::size_t size_of(const std::vector<span_attribute>& attributes)
{
    auto size = attributes.capacity() * sizeof(span_attribute);
    for (const auto& attribute : attributes)
        if (const auto* text = std::get_if<std::string>(&attribute.value))
            size += text->size();
    return size;
}

/// The memory of the span, about.
std::size_t size_of(const span& content)
{
    auto size =
        sizeof(span) + content.name.size() + content.error.size() + size_of(content.attributes);
    for (const auto& event : content.events)
        size += sizeof(event) + size_of(event.attributes);
    for (const auto& link : content.links)
        size += sizeof(link) + size_of(link.attributes);
    return size;
}

} // namespace

span_queue::added span_queue::add(span finished)
{
    const auto bytes = size_of(finished);
    const std::lock_guard lock{mutex_};
    if (is_closed_ || entries_.size() >= max_spans_ || bytes > max_bytes_ - bytes_) {
        ++dropped_;
        return added::dropped;
    }
    entries_.push_back({std::move(finished), bytes});
    bytes_ += bytes;
    const auto size = entries_.size();
    size_.store(size, std::memory_order_relaxed);
    if (!std::exchange(is_served_, true))
        return added::first;
    return size == batch_spans_ ? added::batch_full : added::queued;
}

std::vector<span> span_queue::take()
{
    std::vector<span> batch;
    const std::lock_guard lock{mutex_};
    const auto count = std::min(entries_.size(), batch_spans_);
    batch.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        bytes_ -= entries_.front().bytes;
        batch.push_back(std::move(entries_.front().content));
        entries_.pop_front();
    }
    size_ = entries_.size();
    is_served_ = count > 0;
    return batch;
}

bool span_queue::close()
{
    const std::lock_guard lock{mutex_};
    is_closed_ = true;
    return !entries_.empty();
}

void span_queue::clear()
{
    const std::lock_guard lock{mutex_};
    dropped_ += entries_.size();
    entries_.clear();
    bytes_ = 0;
    size_ = 0;
}

} // namespace pawl::otlp
