// The operations of the writer that remove runs and erase texts.
#include "stores/sqlite/writer.hpp"

namespace pawl::sqlite {

/// Follows the chain of the run's events, newest first.
void writer::remove_events(const stored_run& run)
{
    for (auto position = run.last_event; position != 0;) {
        std::int64_t before = 0;
        {
            execution row{find_before_};
            if (row.bind(position).row())
                row.read(before);
        }
        execution{remove_event_}.bind(position).run();
        position = before;
    }
}

/// Empties the texts that a data deletion erases besides the object: see transition.
void writer::erase_texts(const stored_run& run)
{
    for (auto position = run.last_event; position != 0;) {
        std::int64_t before = 0;
        {
            execution row{find_before_};
            if (row.bind(position).row())
                row.read(before);
        }
        execution{erase_error_}
            .bind(position)
            .bind(static_cast<int>(event_kind::data_deletion_requested))
            .run();
        position = before;
    }
    execution{erase_details_}.bind(run.row).run();
}

apply_result writer::apply_one(const removal& change)
{
    auto* const run = find(change.run);
    if (!run)
        return {.status = apply_status::not_found};
    if (fenced(run->shard, change.epoch))
        return {.status = apply_status::fenced};
    if (run->version != change.expected_version)
        return {.status = apply_status::conflict};
    if (!is_finished(run->state))
        return {.status = apply_status::already_running};
    remove_events(*run);
    execution{remove_marks_}.bind(run->row).run();
    execution{remove_messages_}.bind(run->row).run();
    execution{remove_attributes_}.bind(run->row).run();
    execution{remove_run_}.bind(run->row).run();
    --counts_[{run->workflow, run->status, run->state}];
    if (run->parent)
        --child_counts_[{run->parent, run->state}];
    known_.forget(change.run);
    return {};
}

} // namespace pawl::sqlite
