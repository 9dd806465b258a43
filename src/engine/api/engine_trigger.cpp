// Triggers: the first commit of a run.
#include "async/complete.hpp"
#include "core/decide.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/run/detached_run_context.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/run_attributes.hpp"
#include "pawl/trace.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;
using core::quoted;
using engine_detail::pending_commit;

using engine_detail::noted_ends;

namespace {

/// The longest foreign id, idempotency key or name of a requester.
constexpr std::size_t max_name_length = 1024;

record about_to_start(const core::start_request& request, const std::string& workflow)
{
    record first;
    first.id = request.id;
    first.workflow = workflow;
    first.foreign_id = request.foreign_id;
    first.status = request.status;
    first.visit = 1;
    return first;
}

/// @param stage receives the error code for an exception of this function.
std::vector<deadline> first_deadlines(const workflow_impl& workflow,
                                      const core::start_request& request,
                                      const engine_detail::engine_parts& shared, errc& stage)
{
    const auto handlers = workflow.handlers.find(request.status);
    if (handlers == workflow.handlers.end() || handlers->second.timeouts.empty())
        return {}; // without decoding anything
    engine_detail::detached_run_context context{shared.clock, shared.log,
                                                about_to_start(request, workflow.rules.name)};
    stage = errc::decode_failed;
    const auto object = workflow.decode(request.object, nullptr);
    stage = errc::invalid_argument;
    return arm_timeouts(workflow, request.status, object, context);
}

/// Throws error: too_large, decode_failed.
std::vector<stored_attribute> first_attributes(const workflow_impl& workflow,
                                               const std::string& written)
{
    try {
        return engine_detail::attributes_of_written(workflow, written);
    } catch (const engine_detail::size_exceeded&) {
        throw;
    } catch (...) {
        throw error(errc::decode_failed, "the attributes of the object cannot be computed: " +
                                             exception_text(std::current_exception()));
    }
}

/// The trace parent that a run stores: empty for an invalid header; a longer header is cut to the
/// fields of version 00.
std::string kept_trace_parent(std::string header)
{
    constexpr std::size_t size = 55;
    const auto parsed = trace_context::parse(header);
    if (!parsed)
        return {};
    return header.size() == size ? std::move(header) : to_string(*parsed);
}

} // namespace

void check_name(const std::string& text, bool may_be_empty, const char* subject)
{
    if (text.size() > max_name_length || (text.empty() && !may_be_empty))
        throw error(errc::invalid_argument,
                    std::string{subject} + " has " + std::to_string(text.size()) +
                        " bytes; it must have " + (may_be_empty ? "at most " : "1 to ") +
                        std::to_string(max_name_length));
}

std::string no_start_text(const workflow_impl& workflow, int status)
{
    const auto* rules = workflow.rules.find(status);
    return "no run of \"" + workflow.rules.name + "\" can start in status " +
           (rules ? rules->label + " (" + std::to_string(status) + ")" : std::to_string(status)) +
           ": it has no step, callback or timeout";
}

std::string engine_core::too_large_text(const char* subject, std::size_t size) const
{
    return std::string{subject} + " has " + std::to_string(size) +
           " bytes; engine_options::max_object_size is " + std::to_string(options_.max_object_size);
}

std::string engine_core::overloaded_text() const
{
    return "engine_options::max_waiting_calls is " + std::to_string(options_.max_waiting_calls) +
           ", and that many calls wait for their commit";
}

/// The commit that starts a run. Throws what the checks of the call throw.
engine_core::result<pending_commit> engine_core::first_commit(const workflow_impl& workflow,
                                                              trigger_call call)
{
    check_early(call.early, workflow.rules.name, "the object of a run that is triggered");
    check_name(call.foreign_id, false, "the foreign id");
    check_name(call.key, true, "the idempotency key");
    if (call.object.size() > options_.max_object_size)
        return failure{errc::too_large, too_large_text("the object", call.object.size())};
    core::start_request request;
    request.id = new_run_id();
    request.foreign_id = std::move(call.foreign_id);
    request.status = call.status.value_or(workflow.rules.default_start);
    request.object = std::move(call.object);
    request.id_reuse = call.id_reuse;
    request.start_key = std::move(call.key);
    request.trace_parent = kept_trace_parent(std::move(call.trace_parent));
    request.parent = std::move(call.parent);
    const auto* rules = workflow.rules.find(request.status);
    if (!rules || rules->end ||
        (!rules->step && rules->callbacks.empty() && rules->timeouts.empty()))
        return failure{errc::invalid_status, no_start_text(workflow, request.status)};
    std::vector<deadline> armed;
    auto stage = errc::invalid_argument;
    try {
        armed = first_deadlines(workflow, request, shared_, stage);
    } catch (...) {
        const auto text = "a timeout of " + workflow.rules.name + " " + rules->label +
                          " could not be armed: " + exception_text(std::current_exception());
        shared_.log({log_level::error, text});
        return failure{stage, text};
    }
    request.object = written_object(workflow, std::move(request.object));
    if (!workflow.attributes.empty())
        request.attributes = first_attributes(workflow, request.object);
    return pending_commit{core::start(workflow.rules, std::move(request), shared_.clock.now(),
                                      [&](int) { return std::move(armed); }),
                          {},
                          {}};
}

/// Takes the stored run up if it is due. `noted` was created before the run was stored.
run_id engine_core::begin_run(const apply_result& stored, pending_commit& item,
                              const noted_ends& noted, bool inside_call)
{
    if (stored.status == apply_status::duplicate)
        return stored.existing;
    auto& started = std::get<transition>(item.change).next;
    const auto id = started.id;
    const auto shard = shared_.shard_of(started);
    const auto wake_at = started.wake_at;
    if (!wake_at)
        return id;
    if (*wake_at > shared_.clock.now())
        scanner_->scan_from(shard, *wake_at);
    else
        scanner_->admit_run(std::move(started), noted.since(), inside_call);
    return id;
}

/// A trigger that waits for the store. It deletes itself when the store has answered. Inside the
/// task scope.
struct engine_core::waiting_trigger final : engine_detail::commit_listener {
    std::shared_ptr<engine_core> core;
    pending_commit item;
    completion<run_id> done;
    const noted_ends noted;

    waiting_trigger(std::shared_ptr<engine_core> owner, pending_commit first,
                    completion<run_id> handler)
        : core(std::move(owner)), item(std::move(first)), done(std::move(handler)),
          noted(core->active_)
    {
    }

    void committed() override
    {
        const std::unique_ptr<waiting_trigger> self{this};
        --core->waiting_calls_;
        auto [result, run] = core->end_trigger(item, noted);
        core->tasks_.leave();
        async::complete_here(core->shared_.executor, std::move(done), std::move(result), run);
    }
};

asio::awaitable<engine_core::result<run_id>>
engine_core::do_trigger(std::shared_ptr<const workflow_impl> workflow, trigger_call call,
                        bool inside_call, std::optional<publication> companion)
{
    auto item = first_commit(*workflow, std::move(call));
    if (!item)
        co_return item.error();
    item->companion = std::move(companion);
    const noted_ends noted{active_};
    const auto stored = co_await commit_call(*item);
    if (!stored)
        co_return stored.error();
    co_return begin_run(*stored, *item, noted, inside_call);
}

/// The run that the commit has started, or its error.
std::pair<failure, run_id> engine_core::end_trigger(pending_commit& item, const noted_ends& noted)
{
    try {
        const auto stored = result_of(item);
        return stored ? std::pair{failure{}, begin_run(*stored, item, noted, false)}
                      : std::pair{stored.error(), run_id{}};
    } catch (...) {
        return {failure_of(std::current_exception()), run_id{}};
    }
}

/// A coroutine would cost more than the rest of the trigger. From inside the task scope, and not
/// inside the caller's function.
void engine_core::trigger_without_coroutine(const workflow_impl& workflow, trigger_call call,
                                            completion<run_id> done)
{
    std::pair<failure, run_id> started;
    try {
        auto item = first_commit(workflow, std::move(call));
        const noted_ends noted{active_};
        if (!item) {
            started.first = item.error();
        } else if (committer_.try_apply(*item)) {
            started = end_trigger(*item, noted);
        } else if (!count_waiting_call()) {
            started.first = failure{errc::overloaded, overloaded_text()};
        } else {
            auto* const waiting =
                new waiting_trigger{shared_from_this(), std::move(*item), std::move(done)};
            committer_.submit(waiting->item, *waiting);
            return;
        }
    } catch (...) {
        started.first = failure_of(std::current_exception());
    }
    const auto alive = shared_from_this();
    tasks_.leave();
    async::complete_here(shared_.executor, std::move(done), std::move(started.first),
                         started.second);
}

void engine_core::trigger(std::shared_ptr<const workflow_impl> workflow, trigger_call call,
                          completion<run_id> done)
{
    if (!admits() || !tasks_.enter()) {
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running),
                        run_id{});
        return;
    }
    // Posted: otherwise the run's first step could run inside this call, which may itself be inside
    // a step, and so on.
    asio::post(shared_.executor, [self = shared_from_this(), workflow = std::move(workflow),
                                  call = std::move(call), done = std::move(done)]() mutable {
        self->trigger_without_coroutine(*workflow, std::move(call), std::move(done));
    });
}

} // namespace pawl::detail
