#include "engine/run/guards.hpp"

#include "core/forwarding_observer.hpp"
#include "engine/run/exception_info.hpp"

#include <atomic>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

namespace pawl::engine_detail {

namespace {

class guarded_observer final : public core::forwarding_observer {
public:
    guarded_observer(std::shared_ptr<observer> target, log_sink log)
        : forwarding_observer(std::move(target)), log_(std::move(log))
    {
    }

private:
    void failed() override
    {
        const auto failures = ++failures_;
        if (std::has_single_bit(failures))
            log_({log_level::error,
                  "the observer threw, " + std::to_string(failures) +
                      " times so far, and misses the reports for which it threw: " +
                      detail::exception_text(std::current_exception())});
    }

    const log_sink log_;
    std::atomic<std::uint64_t> failures_{0};
};

} // namespace

log_sink guarded(log_sink sink)
{
    return [sink = std::move(sink)](const log_entry& entry) {
        try {
            sink(entry);
        } catch (...) {
            try {
                log_to_stderr(entry);
            } catch (...) { // no memory for the line
            }
        }
    };
}

std::shared_ptr<observer> guarded(std::shared_ptr<observer> target, const log_sink& log)
{
    if (!target)
        return nullptr;
    return std::make_shared<guarded_observer>(std::move(target), log);
}

} // namespace pawl::engine_detail
