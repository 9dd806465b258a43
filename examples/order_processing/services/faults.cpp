#include "services/faults.hpp"

namespace order_processing::services {

void faults::set(const fault_settings& settings)
{
    const std::lock_guard lock{mutex_};
    settings_ = settings;
    random_.seed(settings.seed);
}

fault_settings faults::settings() const
{
    const std::lock_guard lock{mutex_};
    return settings_;
}

fault_plan faults::next()
{
    const std::lock_guard lock{mutex_};
    const auto jitter = draw();
    const auto error = draw() < settings_.error_rate;
    const auto drop_before = draw() < settings_.drop_before_rate;
    const auto hang = draw() < settings_.hang_rate;
    const auto drop_after = draw() < settings_.drop_after_rate;

    fault_plan plan;
    const auto extra = jitter * static_cast<double>(settings_.jitter_ms);
    plan.latency =
        std::chrono::milliseconds{settings_.latency_ms + static_cast<std::int64_t>(extra)};
    plan.error = error;
    plan.drop_before = drop_before && !error;
    plan.hang = hang && !error && !drop_before;
    plan.drop_after = drop_after && !error && !drop_before && !hang;
    return plan;
}

/// In [0, 1), from the upper 53 bits: the distributions of the standard libraries may differ.
double faults::draw()
{
    return static_cast<double>(random_() >> 11) * 0x1p-53;
}

} // namespace order_processing::services
