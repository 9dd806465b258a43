// Children: their start, and what their end and the cancellation of their parent lead to.
#include "codec/child_end.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

namespace {

/// Stored: the key of the command by which a child is cancelled with its parent.
constexpr const char* cancel_key = "pawl.parent";

message cancel_command(const run_id& child, const run_id& parent, time_point now)
{
    message command;
    command.run = child;
    command.kind = message_kind::cancel;
    command.payload = "its parent run " + to_string(parent) + " was cancelled";
    command.key = cancel_key;
    command.sent_at = now;
    return command;
}

} // namespace

asio::awaitable<run_id> engine_core::start_child(std::shared_ptr<const workflow_impl> workflow,
                                                 trigger_call child)
{
    const auto started = co_await do_trigger(std::move(workflow), std::move(child), true);
    co_return started.value();
}

asio::awaitable<void> engine_core::notify_parent(record child)
{
    const auto& link = *child.parent;
    auto parent = co_await shared_.store.find(link.run);
    if (!parent || is_finished(parent->state))
        co_return;
    message end;
    end.name = link.callback;
    end.payload = make_child_end(child);
    end.key = child_end_key(child.id);
    end.sent_at = shared_.clock.now();
    // No limit: a parent gets one end for each child that it has started.
    const auto sent = co_await deliver(std::move(*parent), std::move(end), 0);
    if (!sent && !is_gone(sent.error()))
        std::rethrow_exception(exception_of(sent.error()));
}

asio::awaitable<void> engine_core::cancel_children(run_id parent)
{
    record_query query;
    query.parent = parent;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = engine_detail::page_size;
    do {
        const auto page = co_await shared_.store.list(query);
        std::vector<change> batch;
        std::vector<const record*> children;
        for (const auto& child : page.runs) {
            if (child.parent->on_cancel != parent_cancel::cancel)
                continue;
            batch.push_back(delivery{cancel_command(child.id, parent, shared_.clock.now()), 0});
            children.push_back(&child);
        }
        if (!batch.empty()) {
            const auto results = co_await shared_.store.apply(batch);
            for (std::size_t i = 0; i < results.size(); ++i) {
                auto& command = std::get<delivery>(batch[i]).content;
                command.sequence = results[i].sequence;
                if (results[i].status == apply_status::accepted)
                    active_.deliver(*children[i], command);
            }
        }
        query.after = page.next;
    } while (query.after);
}

/// A child that is stored after its parent's children were listed sees here that its parent was
/// cancelled: that was stored before the list was read.
asio::awaitable<void> engine_core::cancel_with_parent(record child)
{
    const auto parent = co_await shared_.store.find(child.parent->run);
    if (!parent || parent->state != run_state::cancelled)
        co_return;
    const auto sent =
        co_await deliver(child, cancel_command(child.id, parent->id, shared_.clock.now()), 0);
    if (!sent && !is_gone(sent.error()))
        std::rethrow_exception(exception_of(sent.error()));
}

} // namespace pawl::detail
