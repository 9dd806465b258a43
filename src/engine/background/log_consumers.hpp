#pragma once

#include "streams/workflow_source.hpp"

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Who reads the log of an engine's workflows as a source of events, as far as the engine knows:
/// for retention, which keeps what they have not seen.
///
/// A connector need not be given such a source itself: it may have one of the application's own
/// that hands its events on. So each of the engine's connectors counts for each of its sources,
/// once it has begun to read it; besides them, each receiver that is open.
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
        std::erase_if(sources_, [](const auto& each) { return each.expired(); });
        sources_.push_back(source);
    }

    struct entry {
        std::shared_ptr<streams::workflow_source> source;
        std::string consumer;
    };

    /// Some of them may never read the source: workflow_source::position() tells.
    std::vector<entry> of(const std::string& workflow) const
    {
        std::vector<entry> all;
        const std::lock_guard lock{mutex_};
        for (const auto& each : sources_) {
            const auto source = each.lock();
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
