#include "engine/operations/audit_log.hpp"

#include "pawl/codec.hpp"
#include "pawl/detail/exception_text.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/describe.hpp>

#include <array>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Stored: never change.
constexpr const char* audit_topic = "pawl.audit";

/// Entries are removed this many at a time.
constexpr std::uint64_t trim_step = 100;

/// An entry as it is stored. Stored: never change a member's name or meaning.
struct stored_entry {
    std::string id, requester, method, address, action, workflow, run, foreign_id, target, reason,
        outcome, error, detail;
};
BOOST_DESCRIBE_STRUCT(stored_entry, (),
                      (id, requester, method, address, action, workflow, run, foreign_id, target,
                       reason, outcome, error, detail))

audit_entry entry_of(const stream_event& event)
{
    auto stored = codec<stored_entry>::decode(event.payload);
    audit_entry entry;
    entry.position = event.position;
    entry.id = std::move(stored.id);
    entry.at = event.at;
    entry.by = {std::move(stored.requester), std::move(stored.method), std::move(stored.address)};
    entry.action = std::move(stored.action);
    entry.workflow = std::move(stored.workflow);
    entry.run = parse_run_id(stored.run).value_or(run_id{});
    entry.foreign_id = std::move(stored.foreign_id);
    entry.target = std::move(stored.target);
    entry.reason = std::move(stored.reason);
    entry.outcome = parse_audit_outcome(stored.outcome).value_or(audit_outcome::failed);
    entry.error = std::move(stored.error);
    entry.detail = std::move(stored.detail);
    return entry;
}

} // namespace

publication audit_log::publication_of(const audit_entry& entry) const
{
    const stored_entry stored{entry.id,
                              entry.by.name,
                              entry.by.method,
                              entry.by.address,
                              entry.action,
                              entry.workflow,
                              entry.run ? to_string(entry.run) : std::string{},
                              entry.foreign_id,
                              entry.target,
                              entry.reason,
                              to_string(entry.outcome),
                              entry.error,
                              entry.detail};
    publication record{audit_topic, {}};
    record.content.id = entry.id + "/" + to_string(entry.outcome);
    record.content.key = stored.run;
    record.content.type = entry.action;
    record.content.at = entry.at;
    codec<stored_entry>::encode(stored, record.content.payload);
    return record;
}

asio::awaitable<void> audit_log::append(audit_entry entry) const
{
    const std::vector<change> batch{publication_of(entry)};
    const auto results = co_await shared_.store.apply(batch);
    streams::topic_waiters::of(shared_.store)->notify_topic(audit_topic);
    const auto end = results.front().sequence;
    // The entry with the request of a change takes a position too, so that not each step is met.
    if (end > max_entries_ && end % trim_step < 2)
        co_await trim(end);
}

/// An entry that is removed late does no harm.
asio::awaitable<void> audit_log::trim(std::uint64_t end) const
{
    const std::vector<change> batch{topic_trim{audit_topic, end - max_entries_}};
    std::exception_ptr failure;
    try {
        co_await shared_.store.apply(batch);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure)
        shared_.log({log_level::warn, "old entries of the audit log are not removed: " +
                                          detail::exception_text(failure)});
}

asio::awaitable<audit_page> audit_log::read(std::uint64_t after, std::size_t limit) const
{
    audit_page page;
    page.next = after;
    // The additional entry shows whether another page follows.
    const auto events = co_await shared_.store.topic_events(audit_topic, after, limit + 1);
    page.complete = events.size() <= limit;
    for (const auto& event : events) {
        if (page.entries.size() == limit)
            break;
        page.entries.push_back(entry_of(event));
        page.next = event.position;
    }
    co_return page;
}

} // namespace pawl::engine_detail

namespace pawl {

namespace {

constexpr std::array outcomes{audit_outcome::requested, audit_outcome::accepted,
                              audit_outcome::done, audit_outcome::refused, audit_outcome::failed};

} // namespace

std::string to_string(audit_outcome outcome)
{
    switch (outcome) {
    case audit_outcome::requested:
        return "requested";
    case audit_outcome::accepted:
        return "accepted";
    case audit_outcome::done:
        return "done";
    case audit_outcome::refused:
        return "refused";
    case audit_outcome::failed:
        return "failed";
    }
    return "audit_outcome(" + std::to_string(static_cast<int>(outcome)) + ")";
}

std::optional<audit_outcome> parse_audit_outcome(std::string_view text) noexcept
{
    for (const auto outcome : outcomes)
        if (text == to_string(outcome))
            return outcome;
    return std::nullopt;
}

} // namespace pawl
