#include "testing/conformance/fixture.hpp"

#include <stdexcept>

namespace pawl::testing {

namespace {

std::string_view name_of(apply_status status)
{
    switch (status) {
    case apply_status::accepted:
        return "accepted";
    case apply_status::duplicate:
        return "duplicate";
    case apply_status::conflict:
        return "conflict";
    case apply_status::already_running:
        return "already_running";
    case apply_status::already_ran:
        return "already_ran";
    case apply_status::finished:
        return "finished";
    case apply_status::fenced:
        return "fenced";
    case apply_status::not_found:
        return "not_found";
    case apply_status::inbox_full:
        return "inbox_full";
    }
    return "(no status)";
}

std::string text_of(std::optional<time_point> time)
{
    return time ? fmt::format("{} us", time->time_since_epoch().count()) : "none";
}

/// The name of the first field in which two records differ; empty when they are equal.
std::string_view difference(const record& a, const record& b)
{
    const std::pair<std::string_view, bool> fields[] = {
        {"id", a.id == b.id},
        {"workflow", a.workflow == b.workflow},
        {"foreign_id", a.foreign_id == b.foreign_id},
        {"version", a.version == b.version},
        {"state", a.state == b.state},
        {"status", a.status == b.status},
        {"visit", a.visit == b.visit},
        {"entered_at", a.entered_at == b.entered_at},
        {"attempt", a.attempt == b.attempt},
        {"step_done", a.step_done == b.step_done},
        {"not_before", a.not_before == b.not_before},
        {"deadlines", a.deadlines == b.deadlines},
        {"effects", a.effects == b.effects},
        {"wake_at", a.wake_at == b.wake_at},
        {"object", a.object == b.object},
        {"last_error", a.last_error == b.last_error},
        {"reason", a.reason == b.reason},
        {"requested_by", a.requested_by == b.requested_by},
        {"object_version", a.object_version == b.object_version},
        {"pause", a.pause == b.pause},
        {"auto_resumes", a.auto_resumes == b.auto_resumes},
        {"resume_at", a.resume_at == b.resume_at},
        {"start_key", a.start_key == b.start_key},
        {"trace_parent", a.trace_parent == b.trace_parent},
        {"created_at", a.created_at == b.created_at},
        {"updated_at", a.updated_at == b.updated_at},
        {"inbox_last", a.inbox_last == b.inbox_last},
        {"inbox_pending", a.inbox_pending == b.inbox_pending},
    };
    for (const auto& [name, equal] : fields)
        if (!equal)
            return name;
    return a == b ? "" : "(a field that this check does not know)";
}

} // namespace

void fail(const std::string& what)
{
    throw std::runtime_error{what};
}

void expect(bool holds, std::string_view what)
{
    if (!holds)
        fail(std::string{what});
}

void expect_record(const record& got, const record& wanted, std::string_view what)
{
    if (const auto field = difference(got, wanted); !field.empty())
        fail(fmt::format("{}: the {} of run {} is not the expected one", what, field,
                         to_string(wanted.id)));
}

void expect_status(const apply_result& got, apply_status wanted, std::string_view what)
{
    if (got.status != wanted)
        fail(fmt::format("{}: {} instead of {}", what, name_of(got.status), name_of(wanted)));
}

void expect_statuses(const std::vector<apply_result>& got, std::vector<apply_status> statuses,
                     std::string_view what)
{
    expect_number(got.size(), statuses.size(), fmt::format("{}: number of results", what));
    for (std::size_t i = 0; i < got.size(); ++i)
        expect_status(got[i], statuses[i], fmt::format("{}: change {}", what, i));
}

void expect_wake(const record& got, std::optional<time_point> wanted, std::string_view what)
{
    if (got.wake_at != wanted)
        fail(fmt::format("{}: wake_at is {} instead of {}", what, text_of(got.wake_at),
                         text_of(wanted)));
}

fixture::fixture(std::shared_ptr<record_store> store, std::uint32_t shards)
    : store_(std::move(store)), shards_(shards)
{
    expect(store_ != nullptr, "the factory made no store");
    expect_number(store_->shards(), shards, "shards of the new store");
}

record fixture::make_run(std::string foreign_id, std::string workflow)
{
    ++made_;
    record first;
    first.created_at = beginning + std::chrono::seconds{made_};
    // The random part falls while the time grows, so that no order rests on it by chance.
    first.id = ids_.make(first.created_at, ~made_);
    first.workflow = std::move(workflow);
    first.foreign_id = std::move(foreign_id);
    first.version = 1;
    first.state = run_state::initiated;
    first.status = 10;
    first.visit = 1;
    first.entered_at = first.created_at;
    first.updated_at = first.created_at;
    first.wake_at = first.created_at;
    first.object = R"({"n":1})";
    return first;
}

std::string fixture::foreign_id_in(std::uint32_t shard)
{
    for (std::uint64_t i = 0;; ++i) {
        auto foreign_id = fmt::format("key-{}-{}", made_, i);
        if (shard_of(foreign_id, shards_) == shard)
            return foreign_id;
    }
}

awaitable<std::vector<apply_result>> fixture::apply(std::vector<change> batch)
{
    auto results = co_await store_->apply(batch);
    expect_number(results.size(), batch.size(), "number of results of a batch");
    co_return results;
}

awaitable<apply_result> fixture::apply_one(change only)
{
    std::vector<change> batch;
    batch.push_back(std::move(only));
    auto results = co_await store_->apply(batch);
    expect_number(results.size(), 1, "number of results of one change");
    co_return std::move(results.front());
}

awaitable<void> fixture::accept(std::vector<change> batch)
{
    const auto results = co_await apply(std::move(batch));
    for (std::size_t i = 0; i < results.size(); ++i)
        expect_status(results[i], apply_status::accepted, fmt::format("change {} of a batch", i));
}

awaitable<apply_result> fixture::accept_one(change only)
{
    auto result = co_await apply_one(std::move(only));
    expect_status(result, apply_status::accepted, "a change");
    co_return result;
}

awaitable<record> fixture::started(std::string foreign_id, std::string workflow)
{
    auto first = make_run(std::move(foreign_id), std::move(workflow));
    co_await accept_one(start_of(first));
    co_return first;
}

awaitable<record> fixture::stored(run_id id)
{
    auto found = co_await store_->find(id);
    expect(found.has_value(), "a stored run is not found");
    co_return std::move(*found);
}

transition start_of(const record& first, id_reuse_policy rule)
{
    transition change;
    change.next = first;
    change.kind = event_kind::started;
    change.from = first.status;
    change.start = rule;
    return change;
}

record next_of(const record& current)
{
    record next = current;
    ++next.version;
    next.updated_at += std::chrono::milliseconds{1};
    if (next.state == run_state::initiated)
        next.state = run_state::running;
    return next;
}

transition step_of(const record& next, event_kind kind)
{
    transition change;
    change.next = next;
    change.expected_version = next.version - 1;
    change.kind = kind;
    change.from = next.status;
    change.inbox_seen = next.inbox_last;
    return change;
}

record finish_of(const record& current, run_state state)
{
    record next = next_of(current);
    next.state = state;
    next.wake_at.reset();
    return next;
}

delivery send(const run_id& run, std::string name, time_point sent_at)
{
    delivery change;
    change.content.run = run;
    change.content.name = std::move(name);
    change.content.sent_at = sent_at;
    return change;
}

} // namespace pawl::testing
