#pragma once

#include "core/decide.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pawl::core {

/// Turns the present record of a run into its next transition. decide() says which of these changes
/// a stimulus makes.
class transition_builder {
public:
    /// Prepares `change`, which starts as a copy of the record with the next version.
    transition_builder(const record& current, const definition& workflow, time_point now,
                       const arm_deadlines& arm, inbox_view inbox, transition& change);

    /// Sets record::wake_at. To be called last.
    void finish();

protected:
    record& next() { return change_.next; }

    /// Settles the message, and ends the retries and effects of its handler.
    void settle(std::uint64_t message, message_outcome outcome, std::string detail = {});

    void save_object(std::string object, std::vector<stored_attribute> attributes);

    /// The handler has done something: ends the retries of the step, and clears errors and reasons.
    void note_progress();

    /// Begins a visit of the status.
    void enter(int status);

    void end(run_state state, event_kind kind, std::string reason);
    void pause(pause_kind kind, std::string reason);
    void resume(bool automatic);

    /// Sets the failed attempts of all handlers to zero: they run now.
    void reset_attempts();

    /// Drops the effects that the handler recorded in this visit.
    void drop_effects(std::uint64_t handler);

    void set_deadline(const std::string& timeout, time_point time, int attempt);

    /// Arms the deadline again after its handler has succeeded. The next firing has its own
    /// effects.
    void rearm_deadline(const std::string& timeout, time_point time);

    void drop_deadline(const std::string& timeout);

    /// When to check again for something that only a newer program knows: at twice its age. So
    /// checks are frequent in the minutes of a deployment, and rare years after a rollback.
    time_point newer_program_recheck(time_point since) const;

    /// Draws the jitter of a retry.
    std::uint64_t entropy() const noexcept;

    const record& current_;
    const definition& workflow_;
    const time_point now_;
    const inbox_view inbox_;
    transition& change_;

private:
    std::optional<time_point> messages_due_at() const;
    void clear_backoff();

    const arm_deadlines& arm_;
};

/// Cuts a text to the length that a record may store.
std::string shortened(std::string text);

} // namespace pawl::core
