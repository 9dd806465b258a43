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
    guarded_observer(std::shared_ptr<observer> to, log_sink log)
        : forwarding_observer(std::move(to)), log_(std::move(log))
    {
    }

private:
    void failed() override
    {
        const auto times = ++failures_;
        if (std::has_single_bit(times))
            log_({log_level::error, "the observer threw, for the " + std::to_string(times) +
                                        ". time; it misses what it threw for: " +
                                        detail::exception_text(std::current_exception())});
    }

    const log_sink log_;
    std::atomic<std::uint64_t> failures_{0};
};

} // namespace

log_sink guarded(log_sink given)
{
    return [given = std::move(given)](const log_entry& entry) {
        try {
            given(entry);
        } catch (...) {
            try {
                log_to_stderr(entry);
            } catch (...) { // no memory for a line
            }
        }
    };
}

std::shared_ptr<observer> guarded(std::shared_ptr<observer> given, const log_sink& log)
{
    if (!given)
        return nullptr;
    return std::make_shared<guarded_observer>(std::move(given), log);
}

} // namespace pawl::engine_detail
