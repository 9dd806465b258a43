#pragma once

#include "async/auto_reset_event.hpp"
#include "pawl/record_store.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace pawl::streams {

/// Who waits, in this process, for what is sent to which topic of one store.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class topic_waiters {
public:
    /// Those of a store object, whoever asks. They live as long as somebody keeps them, who keeps
    /// the store too.
    static std::shared_ptr<topic_waiters> of(const record_store& store);

    std::shared_ptr<async::auto_reset_event> add(const std::string& topic);
    void remove(const std::string& topic, const std::shared_ptr<async::auto_reset_event>& gone);
    void notify_topic(const std::string& topic);

private:
    std::mutex mutex_;
    std::multimap<std::string, std::shared_ptr<async::auto_reset_event>> by_topic_;
};

} // namespace pawl::streams
