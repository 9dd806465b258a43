#include "engine/operations/connector_reader.hpp"

#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/operations/run_lister.hpp"
#include "pawl/dead_letter.hpp"
#include "streams/workflow_source.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Dead letters of a topic are counted up to this number.
constexpr std::size_t letters_counted = 1'000;

/// Letters that are read at once, because their payloads may be large.
constexpr std::size_t letters_read = 25;

/// The size of the letters of a page after which it ends.
constexpr std::size_t letter_bytes = 4 * 1024 * 1024;

/// What the topics of dead_letter_topic() and its siblings begin with.
constexpr std::string_view letter_prefix = "pawl.dead-letter/";

/// What the roles of connectors begin with, see connector_runner::consumer().
constexpr std::string_view connector_roles = "pawl.connector/";

std::size_t size_of(const stream_event& letter)
{
    std::size_t size = letter.payload.size() + letter.id.size() + letter.key.size();
    for (const auto& [name, value] : letter.headers)
        size += name.size() + value.size();
    return size;
}

} // namespace

record_store& connector_reader::store() const
{
    return core_.shared_.store;
}

store_inventory connector_reader::inventory() const
{
    return store_inventory{core_.shared_, core_.options_.client_only};
}

asio::awaitable<std::vector<connector_view>> connector_reader::connectors()
{
    std::map<std::string, connector_view> found;
    const bool is_shared = store().shared();
    for (const auto& runner : core_.connectors_) {
        const auto& connector = runner->connector();
        auto& view = found[connector.name];
        view.workflow = connector.workflow;
        if (const auto* log = dynamic_cast<streams::workflow_source*>(connector.source.get()))
            view.source = log->workflow();
        if (!is_shared)
            view.engine = core_.shards_->owner();
    }
    const auto held = co_await store().roles(connector_roles);
    for (const auto& role : held)
        found[role.role.substr(connector_roles.size())].engine = role.owner;
    std::vector<connector_view> views;
    for (auto& [name, view] : found) {
        view.name = name;
        view.dead_letter_topic = dead_letter_topic(name);
        const auto letters = co_await letter_topic(view.dead_letter_topic);
        view.dead_letters = letters.letters;
        view.lag = co_await lag_of(view);
        views.push_back(std::move(view));
    }
    co_return views;
}

/// The events that the connector has not acknowledged. Gaps of removed runs count as events.
asio::awaitable<std::optional<std::uint64_t>> connector_reader::lag_of(connector_view connector)
{
    std::shared_ptr<streams::workflow_source> log;
    std::string consumer;
    for (const auto& runner : core_.connectors_)
        if (runner->connector().name == connector.name) {
            log = std::dynamic_pointer_cast<streams::workflow_source>(runner->connector().source);
            consumer = runner->consumer();
        }
    if (!log)
        co_return std::nullopt;
    const auto shards = co_await inventory().shards_of(log->workflow());
    std::uint64_t lag = 0;
    for (auto shard = shards.first; shard < shards.second; ++shard) {
        const auto next = co_await log->position(consumer, shard);
        const auto end = co_await store().log_end(shard);
        if (next <= end)
            lag += end + 1 - std::max<std::uint64_t>(next, 1);
    }
    co_return lag;
}

asio::awaitable<dead_letter_topic_view> connector_reader::letter_topic(std::string topic)
{
    dead_letter_topic_view view;
    view.topic = std::move(topic);
    const auto end = co_await store().topic_end(view.topic);
    const auto first = co_await store().topic_events(view.topic, 0, 1);
    if (first.empty())
        co_return view;
    view.oldest_at = first.front().at;
    // Letters are only trimmed from the beginning, so that their positions have no gaps.
    const auto letters = end + 1 - first.front().position;
    view.letters = {std::min<std::uint64_t>(letters, letters_counted), letters > letters_counted};
    co_return view;
}

asio::awaitable<std::vector<dead_letter_topic_view>> connector_reader::letter_topics()
{
    std::set<std::string> topics;
    const auto names = co_await inventory().workflows();
    for (const auto& name : names) {
        topics.insert(callback_dead_letter_topic(name));
        topics.insert(hook_dead_letter_topic(name));
        topics.insert(request_dead_letter_topic(name));
    }
    for (const auto& runner : core_.connectors_)
        topics.insert(dead_letter_topic(runner->connector().name));
    const auto held = co_await store().roles(connector_roles);
    for (const auto& role : held)
        topics.insert(
            dead_letter_topic(std::string_view{role.role}.substr(connector_roles.size())));
    std::vector<dead_letter_topic_view> found;
    for (const auto& topic : topics) {
        auto view = co_await letter_topic(topic);
        if (view.letters.count > 0)
            found.push_back(std::move(view));
    }
    co_return found;
}

asio::awaitable<topic_page> connector_reader::letters(std::string topic, std::uint64_t after,
                                                      std::size_t limit)
{
    check_page_limit(limit);
    if (!topic.starts_with(letter_prefix))
        throw error(errc::invalid_argument, core::quoted(topic) +
                                                " is no topic of dead letters: these begin with " +
                                                core::quoted(std::string{letter_prefix}));
    topic_page page;
    page.next = after;
    std::size_t bytes = 0;
    for (bool more = true; more;) {
        const auto wanted = std::min(letters_read, limit - page.events.size());
        auto letters = co_await store().topic_events(topic, page.next, wanted);
        more = letters.size() == wanted;
        for (auto& letter : letters) {
            bytes += size_of(letter);
            if (!page.events.empty() && bytes > letter_bytes)
                break;
            page.next = letter.position;
            page.events.push_back(std::move(letter));
        }
        more = more && page.events.size() < limit && bytes <= letter_bytes;
    }
    const auto following = co_await store().topic_events(topic, page.next, 1);
    page.complete = following.empty();
    co_return page;
}

} // namespace pawl::engine_detail
