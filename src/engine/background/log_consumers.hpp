#pragma once

#include "streams/workflow_source.hpp"

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// The known consumers of the log of an engine's workflows. Retention keeps runs whose events a
/// consumer has not seen.
///
/// Each connector of the engine counts as a consumer of each source, once it has begun to read it:
/// a connector may read a source through one of the application's own. Each open receiver counts,
/// too.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class log_consumers {
public:
    void add(std::string connector)
    {
        const std::lock_guard lock{mutex_};
        connectors_.insert(std::move(connector));
    }

    void add(const std::shared_ptr<streams::workflow_source>& source)
    {
        const std::lock_guard lock{mutex_};
        std::erase_if(sources_, [](const auto& known) { return known.expired(); });
        sources_.push_back(source);
    }

    struct entry {
        std::shared_ptr<streams::workflow_source> source;
        std::string consumer;
    };

    /// Some consumers may never have read the source: then workflow_source::position() is 0.
    std::vector<entry> consumers_of(const std::string& workflow) const
    {
        std::vector<entry> all;
        const std::lock_guard lock{mutex_};
        for (const auto& known : sources_) {
            const auto source = known.lock();
            if (!source || source->workflow() != workflow)
                continue;
            auto names = source->open_consumers();
            names.insert(connectors_.begin(), connectors_.end());
            for (const auto& name : names)
                all.push_back({source, name});
        }
        return all;
    }

private:
    mutable std::mutex mutex_;
    std::set<std::string> connectors_;
    std::vector<std::weak_ptr<streams::workflow_source>> sources_;
};

} // namespace pawl::engine_detail
