#include "testing/conformance/fixture.hpp"

namespace pawl::testing {

void expect_record(const record& actual, const record& expected, std::string_view subject)
{
    expect_equal(actual, expected, fmt::format("{}: run {}", subject, to_string(expected.id)));
}

void expect_status(const apply_result& actual, apply_status expected, std::string_view subject)
{
    expect_equal(actual.status, expected, fmt::format("{}: status", subject));
}

void expect_statuses(const std::vector<apply_result>& actual, std::vector<apply_status> expected,
                     std::string_view subject)
{
    expect_equal(actual.size(), expected.size(), fmt::format("{}: results", subject));
    for (std::size_t i = 0; i < actual.size(); ++i)
        expect_status(actual[i], expected[i], fmt::format("{}: change {}", subject, i));
}

void expect_wake(const record& actual, std::optional<time_point> expected, std::string_view subject)
{
    expect_equal(actual.wake_at, expected,
                 fmt::format("{}: run {}: wake_at", subject, to_string(actual.id)));
}

fixture::fixture(std::shared_ptr<record_store> store, std::uint32_t shards)
    : store_(std::move(store)), shards_(shards)
{
    expect(store_ != nullptr, "store_factory returned a null pointer");
    expect_equal(store_->shards(), shards, "shards of the new store");
}

record fixture::make_run(std::string foreign_id, std::string workflow)
{
    ++run_count_;
    record first;
    first.created_at = beginning + std::chrono::seconds{run_count_};
    // The random part falls while the time grows, so that no order rests on it by chance.
    first.id = ids_.make(first.created_at, ~run_count_);
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
        auto foreign_id = fmt::format("key-{}-{}", run_count_, i);
        if (shard_of(foreign_id, shards_) == shard)
            return foreign_id;
    }
}

awaitable<std::vector<apply_result>> fixture::apply(std::vector<change> batch)
{
    auto results = co_await store_->apply(batch);
    expect_equal(results.size(), batch.size(), "number of results of a batch");
    co_return results;
}

awaitable<apply_result> fixture::apply_one(change only)
{
    std::vector<change> batch;
    batch.push_back(std::move(only));
    auto results = co_await store_->apply(batch);
    expect_equal(results.size(), 1, "number of results of one change");
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
    expect(found.has_value(), fmt::format("find({}) found no run", to_string(id)));
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
