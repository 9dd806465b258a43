#pragma once

#include "engine/context.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pawl::engine_detail {

class activation;
class driver;

/// The runs that are in memory: at most one activation of each.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class active_runs {
public:
    explicit active_runs(context& shared) : shared_(shared) {}

    enum class begun { yes, already_active, full, not_owner };

    /// Activates a run whose record has just been read or written. If an activation of it has ended
    /// since note_ends(), the record may be older than what that one stored, and is read again.
    begun begin(record current);

    /// From now on, until forget_ends(), remembers which activations end: called before records are
    /// read for begin(). By one caller at a time.
    void note_ends();
    void forget_ends();

    /// Activates a run that waited for a permit of `granted`, which is now its own. False when it
    /// is active already; then the permit is still the caller's.
    bool begin_granted(run_id run, step_limiter& granted);

    /// Gives a permit back, and activates the run that gets it next.
    void give_back(step_limiter& permit);

    /// Hands a message that has been stored to its run: into the present activation's mail, or by
    /// activating it. `of` is the run's record, not necessarily the newest.
    void deliver(const record& of, const message& stored);

    /// Has an activation of the run tell the watcher, which has been added, how the run stands.
    /// False when there is none. From inside the gate, for whose place it takes over.
    bool show(run_id run, const std::shared_ptr<watcher>& to);

    /// A message may have been stored for this run, without an answer: its activation, if there is
    /// one, reads the inbox again.
    void distrust_inbox(run_id run);

    struct mail {
        std::vector<message> arrived;
        bool unsure = false; ///< the inbox may hold more than that
    };

    /// Takes the activation's mail.
    mail take_mail(activation& of);

    /// Ends an activation, unless mail has come for it. After true, another one may begin.
    bool retire(activation& ending);

    /// Ends an activation whatever mail there is (it is in the store).
    void remove(activation& ending);

    /// Puts a fresh activation in the place of one that does not react to cancellation.
    void replace(activation& stuck, std::shared_ptr<activation> fresh);

    /// Cancels every running handler.
    void interrupt_all();

    /// Cancels the running handlers of runs whose shards the engine no longer has.
    void check_ownership();

    /// Whether a run of the shard, or one of which that is not known yet, is active.
    bool any_in(std::uint32_t shard) const;

    /// Keeps a driver whose activation has ended for the next one; false when it is to end.
    bool keep(std::shared_ptr<driver> free);

    /// Lets the resting drivers go. After context::stopping has been set.
    void stop();

    std::size_t size() const;
    bool contains(const run_id& run) const;

private:
    /// So many rest at most: those of a large batch, whose runs end together as others begin.
    static constexpr std::size_t max_resting = 1'024;

    std::vector<std::shared_ptr<activation>> all() const;
    begun admit(const std::shared_ptr<activation>& fresh, bool even_if_full);
    std::shared_ptr<driver> take_driver();
    void erase(const activation& ending);
    void erased();

    context& shared_;
    mutable std::mutex mutex_;
    std::unordered_map<run_id, std::shared_ptr<activation>> runs_;
    std::vector<std::shared_ptr<driver>> resting_;
    bool notes_ends_ = false;
    std::unordered_set<run_id> ended_; ///< while notes_ends_
};

} // namespace pawl::engine_detail
