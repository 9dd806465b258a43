#include "limits/raw_loop.hpp"

#include <algorithm>
#include <vector>

namespace pawl_bench {

std::int64_t now_us()
{
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

void begin_run(raw_run& run)
{
    static std::uint64_t serial = static_cast<std::uint64_t>(now_us());
    run.begun = std::chrono::steady_clock::now();
    run.foreign_id = next_foreign_id();
    run.created_at = now_us();
    const auto milliseconds = static_cast<std::uint64_t>(run.created_at / 1000);
    ++serial;
    for (int i = 0; i < 6; ++i)
        run.id[static_cast<std::size_t>(i)] =
            static_cast<unsigned char>(milliseconds >> (40 - 8 * i));
    for (int i = 0; i < 8; ++i)
        run.id[static_cast<std::size_t>(6 + i)] =
            static_cast<unsigned char>(serial >> (56 - 8 * i));
    run.id[6] = 0x70;
}

load_result drive_raw(const load& wanted, const std::function<void(std::span<raw_run>)>& apply)
{
    using steady = std::chrono::steady_clock;
    std::vector<raw_run> runs(wanted.in_flight);
    load_result result;
    auto begin = steady::now() + wanted.warm_up;
    const auto end = begin + wanted.duration;
    std::uint64_t made = 0;
    bool measuring = false;
    for (std::size_t at = 0; steady::now() < end;) {
        if (!measuring && steady::now() >= begin) {
            measuring = true;
            begin = steady::now();
        }
        const auto size = std::min(wanted.batch, runs.size() - at);
        const auto batch = std::span{runs}.subspan(at, size);
        apply(batch);
        for (auto& run : batch)
            if (run.version == transitions_per_run) {
                if (measuring)
                    result.latency.record(steady::now() - run.begun);
                run.version = 0;
            }
        made += measuring ? size : 0;
        at = at + size == runs.size() ? 0 : at + size;
    }
    result.transitions_per_second =
        static_cast<double>(made) / std::chrono::duration<double>(steady::now() - begin).count();
    return result;
}

} // namespace pawl_bench
