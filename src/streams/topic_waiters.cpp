#include "streams/topic_waiters.hpp"

#include <algorithm>
#include <vector>

namespace pawl::streams {

std::shared_ptr<topic_waiters> topic_waiters::of(const record_store& store)
{
    static std::mutex creating;
    const std::lock_guard lock{creating};
    if (!store.topic_waiters_)
        store.topic_waiters_ = std::make_shared<topic_waiters>();
    return store.topic_waiters_;
}

std::shared_ptr<async::auto_reset_event> topic_waiters::add(const std::string& topic)
{
    const auto added = std::make_shared<async::auto_reset_event>();
    const std::lock_guard lock{mutex_};
    by_topic_.emplace(topic, added);
    return added;
}

void topic_waiters::remove(const std::string& topic,
                           const std::shared_ptr<async::auto_reset_event>& waiter)
{
    const std::lock_guard lock{mutex_};
    const auto [first, last] = by_topic_.equal_range(topic);
    const auto found =
        std::find_if(first, last, [&](const auto& known) { return known.second == waiter; });
    if (found != last)
        by_topic_.erase(found);
}

void topic_waiters::notify_topic(const std::string& topic)
{
    std::vector<std::shared_ptr<async::auto_reset_event>> waiters;
    {
        const std::lock_guard lock{mutex_};
        const auto [first, last] = by_topic_.equal_range(topic);
        for (auto waiter = first; waiter != last; ++waiter)
            waiters.push_back(waiter->second);
    }
    for (const auto& waiter : waiters)
        waiter->set();
}

} // namespace pawl::streams
