#include "pawl/span_observer.hpp"

#include "core/forwarding_observer.hpp"
#include "core/option_check.hpp"
#include "core/text.hpp"
#include "core/trace.hpp"
#include "pawl/error.hpp"

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace pawl {

namespace {

constexpr std::size_t max_text = 1024;

std::string cut(std::string_view text)
{
    return core::truncate_utf8(std::string{text.substr(0, max_text)}, max_text);
}

std::string_view name_of(handler_kind kind) noexcept
{
    switch (kind) {
    case handler_kind::step:
        return "step";
    case handler_kind::callback:
        return "callback";
    case handler_kind::timeout:
        return "timeout";
    case handler_kind::hook:
        return "hook";
    case handler_kind::connector:
        return "connector";
    }
    return "unknown";
}

std::string_view name_of(handler_result result) noexcept
{
    switch (result) {
    case handler_result::returned:
        return "returned";
    case handler_result::skipped:
        return "skipped";
    case handler_result::failed:
        return "failed";
    case handler_result::interrupted:
        return "interrupted";
    case handler_result::given_up:
        return "given_up";
    }
    return "unknown";
}

void put(span& made, std::string_view name, std::string_view value)
{
    made.attributes.push_back({name, std::string{value}});
}

void put(span& made, std::string_view name, std::int64_t value)
{
    made.attributes.push_back({name, value});
}

void link(span& made, const trace_context& target, std::string_view relation)
{
    made.links.push_back({target, {{"pawl.link", std::string{relation}}}});
}

/// The last failed attempt of each run, for the link of its retry.
class failed_attempts {
public:
    explicit failed_attempts(std::size_t max_size) : max_size_(max_size) {}

    void remember(const run_id& run, std::string_view handler, const trace_context& attempt)
    {
        const std::lock_guard lock{mutex_};
        if (known_.size() >= max_size_)
            known_.clear();
        if (max_size_ > 0)
            known_.insert_or_assign(run, failure{hash_(handler), attempt});
    }

    /// Empty if the last failed attempt of the run was not one of this handler.
    trace_context take(const run_id& run, std::string_view handler)
    {
        const std::lock_guard lock{mutex_};
        const auto found = known_.find(run);
        if (found == known_.end() || found->second.handler != hash_(handler))
            return {};
        const auto attempt = found->second.attempt;
        known_.erase(found);
        return attempt;
    }

    void forget(const run_id& run)
    {
        const std::lock_guard lock{mutex_};
        known_.erase(run);
    }

private:
    struct failure {
        std::size_t handler = 0;
        trace_context attempt;
    };

    const std::size_t max_size_;
    const std::hash<std::string_view> hash_;
    std::mutex mutex_;
    std::unordered_map<run_id, failure> known_;
};

class span_observer final : public core::forwarding_observer {
public:
    span_observer(std::shared_ptr<span_sink> sink, span_observer_options options)
        : forwarding_observer(std::move(options.next)), sink_(std::move(sink)),
          options_(std::move(options)), failed_(options_.max_remembered_failures)
    {
    }

    void committed(const transition& change) override
    {
        forwarding_observer::committed(change);
        if (change.kind == event_kind::started)
            add_start(change.next);
        if (is_finished(change.next.state) && !is_finished(change.state_before))
            add_end(change.next);
    }

    void handler_ended(const handler_report& report) override
    {
        forwarding_observer::handler_ended(report);
        if ((report.span.flags & 1) == 0 || !sink_->has_room())
            return;
        const bool has_failed =
            report.result == handler_result::failed || report.result == handler_result::given_up;
        auto made = begin(report.span, report.parent_span, report.workflow, report.process);
        made.began_at = report.began_at;
        made.ended_at = report.began_at + report.took;
        made.attributes.reserve(10);
        put(made, "pawl.workflow.name", report.workflow);
        if (report.run)
            put(made, "pawl.run.id", to_string(report.run));
        put_foreign_id(made, report.foreign_id);
        put(made, "pawl.handler.kind", name_of(report.kind));
        put(made, "pawl.handler.name", report.process);
        put(made, "pawl.attempt", report.attempt);
        put(made, "pawl.result", name_of(report.result));
        if (has_failed)
            put(made, "error.type", report.timed_out ? "timeout" : "_OTHER");
        made.failed = has_failed;
        if (has_failed && options_.error_texts)
            made.error = cut(report.error);
        if (report.kind == handler_kind::connector)
            put_message(made, report);
        link_start(made, report.parent_span, report.start_span);
        link_failed(made, report, has_failed);
        put_saved(made, report);
        sink_->add(std::move(made));
    }

    trace_policy tracing() const override { return options_.policy; }

private:
    static span begin(const trace_context& context, const trace_context& parent,
                      std::string_view workflow, std::string_view what)
    {
        span made;
        made.context = context;
        made.parent_id = parent.span_id;
        made.name.reserve(workflow.size() + 1 + what.size());
        made.name.append(workflow).append(" ").append(what);
        return made;
    }

    void put_foreign_id(span& made, std::string_view id) const
    {
        if (options_.foreign_ids)
            put(made, "pawl.foreign_id", cut(id));
    }

    void put_message(span& made, const handler_report& report) const
    {
        made.kind = span_kind::consumer;
        put(made, "messaging.system", "pawl");
        put(made, "messaging.operation.name", "process");
        put(made, "messaging.operation.type", "process");
        put(made, "messaging.consumer.group.name",
            report.process.substr(report.process.find('-') + 1));
        if (options_.foreign_ids && !report.event_id.empty())
            put(made, "messaging.message.id", cut(report.event_id));
    }

    static void link_start(span& made, const trace_context& parent, const trace_context& start)
    {
        if (parent.span_id != start.span_id)
            link(made, start, "start");
    }

    /// Hooks are retried beside other handlers of the run, and have no such link.
    void link_failed(span& made, const handler_report& report, bool has_failed)
    {
        if (report.kind == handler_kind::hook || report.kind == handler_kind::connector)
            return;
        if (report.attempt > 1)
            if (const auto before = failed_.take(report.run, report.process);
                before != trace_context{})
                link(made, before, "retry");
        if (has_failed)
            failed_.remember(report.run, report.process, report.span);
    }

    static void put_saved(span& made, const handler_report& report)
    {
        made.dropped_events = report.saved_omitted;
        made.events.reserve(report.saved.size());
        for (const auto& saved : report.saved) {
            if (saved.effect.empty())
                made.events.push_back({"pawl.checkpoint", saved.at, {}});
            else
                made.events.push_back(
                    {"pawl.effect", saved.at, {{"pawl.effect.name", cut(saved.effect)}}});
        }
    }

    void add_start(const record& run)
    {
        const auto context = run_span(run, options_.policy);
        if ((context.flags & 1) == 0 || !sink_->has_room())
            return;
        const auto parent = trace_context::parse(run.trace_parent).value_or(trace_context{});
        auto made = begin(context, parent, run.workflow, "start");
        made.began_at = made.ended_at = run.created_at;
        put_run(made, run);
        if (run.parent)
            put(made, "pawl.parent_run.id", to_string(run.parent->run));
        sink_->add(std::move(made));
    }

    void add_end(const record& run)
    {
        failed_.forget(run.id);
        const auto placed = core::end_span(run, options_.policy);
        if ((placed.span.flags & 1) == 0 || !sink_->has_room())
            return;
        auto made = begin(placed.span, placed.parent, run.workflow, "end");
        made.began_at = made.ended_at = run.updated_at;
        put_run(made, run);
        put(made, "pawl.status", run.status);
        put(made, "pawl.run.state", to_string(run.state));
        put(made, "pawl.run.duration_ms",
            (run.updated_at - run.created_at) / std::chrono::milliseconds{1});
        link_start(made, placed.parent, placed.start);
        sink_->add(std::move(made));
    }

    void put_run(span& made, const record& run) const
    {
        put(made, "pawl.workflow.name", run.workflow);
        put(made, "pawl.run.id", to_string(run.id));
        put_foreign_id(made, run.foreign_id);
    }

    const std::shared_ptr<span_sink> sink_;
    const span_observer_options options_;
    failed_attempts failed_;
};

} // namespace

std::shared_ptr<observer> make_span_observer(std::shared_ptr<span_sink> sink,
                                             span_observer_options options)
{
    if (!sink)
        throw definition_error("make_span_observer needs a sink");
    const core::option_check check{"span_observer_options::"};
    if (!(options.policy.ratio >= 0 && options.policy.ratio <= 1))
        check.refuse("policy.ratio", std::to_string(options.policy.ratio), "from 0 to 1");
    check.at_least("policy.new_trace_after", options.policy.new_trace_after, duration::zero());
    return std::make_shared<span_observer>(std::move(sink), std::move(options));
}

} // namespace pawl
