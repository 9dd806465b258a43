#include "engine/run/loaded_run.hpp"

#include "core/message_acceptance.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/exception_info.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

loaded_run::loaded_run(engine_parts& engine, run_id run, std::optional<record> given)
    : shared(engine), id_(run), given_(given.has_value())
{
    if (given)
        stored = std::move(*given);
}

std::optional<std::uint32_t> loaded_run::shard() const noexcept
{
    const auto known = shard_.load();
    return known < 0 ? std::nullopt : std::optional{static_cast<std::uint32_t>(known)};
}

bool loaded_run::is_owner() const
{
    const auto known = shard();
    return !known || (epoch_ != 0 && shared.epochs[*known] == epoch_);
}

bool loaded_run::is_current() const
{
    return stored.version > 0 && owned && !stale && !reading_ && !store_failed && !abandoned &&
           is_owner();
}

void loaded_run::use_given_record()
{
    stale = !given_ || stored.inbox_pending > 0;
    inbox_seen = stored.inbox_last;
    if (stale)
        return;
    given_ = false;
    find_workflow();
    find_owner();
}

asio::awaitable<void> loaded_run::load()
{
    stale = inbox_incomplete = false;
    object.reset();
    inbox.clear();
    const auto acquisitions = shared.acquisitions.load();
    reading_ = true;
    std::exception_ptr failure;
    try {
        if (!std::exchange(given_, false)) {
            auto found = co_await shared.store.find(id_);
            owned = found.has_value();
            if (!owned)
                co_return;
            stored = std::move(*found);
        }
        co_await load_inbox();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        shared.log({log_level::warn,
                    "cannot read run " + to_string(id_) + ": " + detail::exception_text(failure)});
        note_store_failure(failure);
        co_return;
    }
    // If the shard was lost and acquired again meanwhile, another engine may have changed the run.
    stale = shared.acquisitions != acquisitions;
    if (stale)
        co_return;
    reading_ = false;
    find_workflow();
    find_owner();
    if (!workflow || !workflow->outdated)
        co_return;
    const auto is_of_newer = [this](const message& waiting) {
        return core::is_undeclared_callback(workflow->impl->rules, waiting);
    };
    if (std::ranges::any_of(inbox, is_of_newer))
        shared.mark_too_old(*workflow);
}

asio::awaitable<void> loaded_run::load_inbox()
{
    inbox_seen = stored.inbox_last;
    if (stored.inbox_pending == 0)
        co_return;
    std::uint64_t after = 0;
    for (;;) {
        auto page = co_await shared.store.inbox(id_, after, inbox_page);
        const bool last = page.size() < inbox_page;
        for (auto& waiting : page) {
            after = waiting.sequence;
            inbox.add(std::move(waiting));
        }
        inbox_seen = std::max(inbox_seen.load(), after);
        if (last)
            co_return;
    }
}

void loaded_run::find_workflow()
{
    const auto found = shared.workflows.find(stored.workflow);
    if (found != shared.workflows.end()) {
        workflow = &found->second;
        return;
    }
    if (shared.report_once(stored.workflow))
        shared.log({log_level::warn, "run " + to_string(id_) + " is of workflow \"" +
                                         stored.workflow + "\", which this engine does not have"});
    owned = false;
}

/// The owner is determined once: a shard that is lost and taken again has another epoch.
void loaded_run::find_owner()
{
    if (shard_ < 0) {
        const auto known = shared.shard_of(stored);
        epoch_ = shared.epochs[known];
        shard_ = known;
        judgement = shared.suspects->judge_run(known, stored);
    }
}

bool loaded_run::add_messages(std::vector<message> arrived)
{
    bool cancels = false;
    for (auto& added : arrived) {
        // The store had it when the inbox was read. It may even have been settled since.
        if (added.sequence <= inbox_seen)
            continue;
        if (is_finished(stored.state)) {
            // It may have come just before the end, and ended with the run.
            inbox_incomplete = true;
            continue;
        }
        new_messages = true;
        cancels = cancels || core::interrupts_handler(added.kind);
        if (added.sequence == inbox_seen + 1) {
            ++inbox_seen;
            inbox.add(std::move(added));
        } else {
            // A message between them is still on its way here, or came by another engine. The inbox
            // is read from the store, in order; until then the message is known for its time limit.
            inbox_incomplete = true;
            if (inbox.find(added.sequence) == inbox.end())
                inbox.add(std::move(added));
        }
    }
    return cancels;
}

core::inbox_view loaded_run::inbox_view() const
{
    return {inbox_seen, inbox, workflow->outdated};
}

const detail::status_handlers& loaded_run::handlers() const
{
    return workflow->impl->handlers.at(stored.status);
}

const status_rules& loaded_run::rules() const
{
    const auto* found = workflow->impl->rules.find(stored.status);
    assert(found);
    return *found;
}

const std::string& loaded_run::timeout_name(const core::from_timeout& timeout) const
{
    return rules().timeouts[static_cast<std::size_t>(timeout.timeout)].name;
}

due_position loaded_run::position() const
{
    return {stored.wake_at.value_or(stored.updated_at), id_};
}

std::optional<time_point> loaded_run::next_urgent_time() const
{
    // A deadline that is kept for a newer program may have passed: this program does not handle it.
    auto earliest = core::next_deadline(stored, workflow->impl->rules);
    if (const auto expiry = inbox.first_expiry())
        earliest = std::min(earliest.value_or(*expiry), *expiry);
    return earliest;
}

void loaded_run::decode_object()
{
    if (object)
        return;
    std::string upgraded;
    std::string ignored;
    const bool wanted = !workflow->ignored_members_logged;
    object = workflow->impl->decode(detail::present_object(*workflow->impl, stored, upgraded),
                                    wanted ? &ignored : nullptr);
    if (!ignored.empty() && !workflow->ignored_members_logged.exchange(true))
        log(log_level::warn, "the stored object has a member \"" + ignored +
                                 "\" that this program does not know: it is lost when the "
                                 "object is stored again (told once for the workflow)");
}

std::optional<std::string> loaded_run::scrubbed_object()
{
    const auto& impl = *workflow->impl;
    try {
        std::string upgraded;
        auto left = detail::written_object(
            impl,
            impl.scrub ? impl.scrub(detail::present_object(impl, stored, upgraded)) : impl.blank());
        check_size(left.size(), "what the scrubber leaves of the object");
        return left;
    } catch (...) {
        const auto failure = std::current_exception();
        if (is_too_old(failure)) {
            leave_to_newer_program(detail::exception_text(failure));
            return {};
        }
        log(log_level::error,
            "the scrubber failed, the object is removed: " + detail::exception_text(failure));
    }
    try {
        return detail::written_object(impl, impl.blank());
    } catch (...) {
        log(log_level::error, "a default-constructed object cannot be encoded, an empty document "
                              "is left: " +
                                  detail::exception_text(std::current_exception()));
        return "{}";
    }
}

void loaded_run::check_size(std::size_t size, const char* name) const
{
    if (size > shared.max_object_size)
        throw size_exceeded(errc::too_large, std::string{name} + " has " + std::to_string(size) +
                                                 " bytes; engine_options::max_object_size is " +
                                                 std::to_string(shared.max_object_size));
}

void loaded_run::leave_to_newer_program(std::string_view reason)
{
    owned = false;
    shared.active->pass_over_until(id_, now() + too_old_pause);
    if (!shared.mark_too_old(*workflow))
        return;
    auto text = std::string{"this run needs a newer program, and is left to an engine that has it "
                            "(told once for the workflow): "};
    text += reason;
    log(log_level::warn, text);
}

bool loaded_run::left_to_newer_program(const std::exception_ptr& failure)
{
    if (!is_too_old(failure))
        return false;
    object.reset();
    leave_to_newer_program(detail::exception_text(failure));
    return true;
}

void loaded_run::note_store_failure(const std::exception_ptr& failure)
{
    owned = false;
    store_failed = true;
    failed_by_data = is_data_error(error_code_of(failure));
}

log_entry loaded_run::entry_of(log_level level, std::string_view text) const
{
    log_entry entry{level, text};
    entry.workflow = stored.workflow;
    entry.foreign_id = stored.foreign_id;
    entry.run = id_;
    const auto* known = workflow ? workflow->impl->rules.find(stored.status) : nullptr;
    if (known)
        entry.status = known->label;
    return entry;
}

void loaded_run::log(log_level level, std::string_view text) const
{
    shared.log(entry_of(level, text));
}

} // namespace pawl::engine_detail
