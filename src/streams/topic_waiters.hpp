#pragma once

#include "async/auto_reset_event.hpp"
#include "pawl/record_store.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pawl::streams {

/// The receivers in this process that wait for events of the topics of one store object.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class topic_waiters {
public:
    /// The waiters of a store object, created at the first call.
    static std::shared_ptr<topic_waiters> of(const record_store& store);

    std::shared_ptr<async::auto_reset_event> add(const std::string& topic);
    void remove(const std::string& topic, const std::shared_ptr<async::auto_reset_event>& waiter);

    /// Wakes the receivers that wait for the topic.
    void notify_topic(const std::string& topic);

private:
    std::mutex mutex_;
    std::multimap<std::string, std::shared_ptr<async::auto_reset_event>> by_topic_;
};

} // namespace pawl::streams
