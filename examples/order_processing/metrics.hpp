#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace order_processing {

/// Counters, as Prometheus reads them: text exposition format, version 0.0.4.
///
/// A counter begins to exist when it is first counted. The number of them is bounded by the labels
/// that the program uses; never make a label of what a client sends.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class metrics {
public:
    using labels = std::vector<std::pair<std::string, std::string>>;

    /// Says what a family of counters stands for. Before its first count.
    void describe(std::string name, std::string help);

    void count(const std::string& name, const labels& of = {});

    std::uint64_t value(const std::string& name, const labels& of = {}) const;

    /// The whole exposition.
    std::string text() const;

    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
    struct family {
        std::string help;
        std::map<std::string, std::uint64_t> counters; ///< by the text of their labels
    };

    mutable std::mutex mutex_;
    std::map<std::string, family> families_;
};

} // namespace order_processing
