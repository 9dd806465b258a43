#pragma once

#include "histogram.hpp"
#include "host.hpp"
#include "options.hpp"
#include "parcels.hpp"
#include "pawl/archive.hpp"
#include "pawl/engine.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

namespace pawl_bench {

/// Opens a store, on the executor if it has no threads of its own.
using store_opener =
    std::function<std::shared_ptr<pawl::record_store>(const boost::asio::any_io_executor&)>;

struct rig_options {
    std::size_t threads = 1;
    std::size_t max_active_runs = pawl::engine_options{}.max_active_runs;
    std::optional<pawl::retention_options> retention{}; ///< empty: runs are kept
    bool limited = false;                               ///< each step has a pawl::limit
    std::shared_ptr<pawl::observer> observer{};         ///< of the engine
};

/// A started engine with the five-step workflow, on threads of its own; stopped at the end.
class rig {
public:
    explicit rig(std::shared_ptr<pawl::record_store> store, rig_options how = {});

    /// On a store that works on the engine's threads, and is gone before them.
    explicit rig(const store_opener& open, rig_options how = {});

    ~rig();

    parcels client() const { return *client_; }
    observer& watching() noexcept { return watching_; }
    pawl_bench::host& host() noexcept { return host_; }
    void run(boost::asio::awaitable<void> work) { host_.run(std::move(work)); }

private:
    observer watching_;
    pawl_bench::host host_;
    std::optional<pawl::engine> engine_;
    std::optional<parcels> client_;
};

struct load {
    std::size_t in_flight = 1;
    pawl::duration warm_up{};
    pawl::duration duration{};
    std::size_t batch = 1'024; ///< of the raw loops: transitions in one commit, at most
};

struct load_result {
    double transitions_per_second = 0;
    histogram latency; ///< of the runs that ended while it was measured, from trigger to end
};

/// Five-step runs beside each other, each followed by the next, for a time. A transition counts
/// when its step is called or its trigger completes.
load_result drive(rig& engine, const load& wanted);

/// As many runs, from trigger to end, so many at a time; the rate of their transitions.
double drive_runs(rig& engine, std::size_t runs, std::size_t in_flight);

/// Makes runs that wait for tomorrow, so many at a time.
void make_waiting(rig& engine, std::size_t runs, std::size_t at_a_time);

} // namespace pawl_bench
