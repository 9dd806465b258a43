#pragma once

#include <prometheus/family.h>
#include <prometheus/labels.h>

#include <map>
#include <mutex>

namespace pawl::prometheus_detail {

/// A family that caches its metrics by label: prometheus-cpp looks them up at each call.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Metric>
class cached {
public:
    explicit cached(::prometheus::Family<Metric>& family) : family_(family) {}

    template <class... Arguments>
    Metric& with(::prometheus::Labels labels, const Arguments&... arguments)
    {
        const std::lock_guard lock{mutex_};
        auto& known = metrics_[labels];
        if (!known)
            known = &family_.Add(labels, arguments...);
        return *known;
    }

    /// Calls `fn` for each metric that with() has returned.
    template <class Fn>
    void for_each(Fn fn)
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [labels, metric] : metrics_)
            fn(*metric);
    }

    /// Removes a metric, so that it is not exported until with() is called for it again.
    void remove(const ::prometheus::Labels& labels)
    {
        const std::lock_guard lock{mutex_};
        const auto known = metrics_.find(labels);
        if (known == metrics_.end())
            return;
        family_.Remove(known->second);
        metrics_.erase(known);
    }

private:
    ::prometheus::Family<Metric>& family_;
    std::mutex mutex_;
    std::map<::prometheus::Labels, Metric*> metrics_;
};

} // namespace pawl::prometheus_detail
