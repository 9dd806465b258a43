#include "streams/topic_waiters.hpp"

#include <algorithm>
#include <vector>

namespace pawl::streams {

std::shared_ptr<topic_waiters> topic_waiters::of(const record_store& store)
{
    static std::mutex mutex;
    static std::map<const record_store*, std::weak_ptr<topic_waiters>> all;
    const std::lock_guard lock{mutex};
    std::erase_if(all, [](const auto& each) { return each.second.expired(); });
    auto& kept = all[&store];
    auto found = kept.lock();
    if (!found)
        kept = found = std::make_shared<topic_waiters>();
    return found;
}

std::shared_ptr<async::auto_reset_event> topic_waiters::add(const std::string& topic)
{
    const auto added = std::make_shared<async::auto_reset_event>();
    const std::lock_guard lock{mutex_};
    by_topic_.emplace(topic, added);
    return added;
}

void topic_waiters::remove(const std::string& topic,
                           const std::shared_ptr<async::auto_reset_event>& gone)
{
    const std::lock_guard lock{mutex_};
    const auto [first, last] = by_topic_.equal_range(topic);
    const auto at =
        std::find_if(first, last, [&](const auto& each) { return each.second == gone; });
    if (at != last)
        by_topic_.erase(at);
}

void topic_waiters::notify_topic(const std::string& topic)
{
    std::vector<std::shared_ptr<async::auto_reset_event>> told;
    {
        const std::lock_guard lock{mutex_};
        const auto [first, last] = by_topic_.equal_range(topic);
        for (auto at = first; at != last; ++at)
            told.push_back(at->second);
    }
    for (const auto& each : told)
        each->set();
}

} // namespace pawl::streams
