#include "engine/run/message_settler.hpp"

#include "core/message_acceptance.hpp"
#include "engine/run/received_commands.hpp"

#include <boost/asio/bind_executor.hpp>

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

/// When the message is settled although a handler runs.
std::optional<time_point> message_settler::settled_at(const message& waiting,
                                                      bool is_first_command) const
{
    if (is_first_command && !core::interrupts_handler(waiting.kind))
        return time_point::min();
    const auto* callback = std::get_if<core::from_callback>(&handler_.handler());
    if (callback && callback->message == waiting.sequence)
        return std::nullopt;
    return waiting.expires_at;
}

/// The first message to be settled, and when.
std::pair<time_point, const message*> message_settler::first_settled() const
{
    std::pair<time_point, const message*> first{time_point::max(), nullptr};
    const core::waiting_messages known = run_.inbox;
    if (!known.has_commands && !known.first_expiry)
        return first;
    bool is_first = true;
    for (const auto& waiting : known.all) {
        const bool is_command = waiting.kind != message_kind::callback;
        const auto time = settled_at(waiting, is_command && is_first);
        is_first = is_first && !is_command;
        if (time && (!first.second || *time < first.first))
            first = {*time, &waiting};
    }
    return first;
}

void message_settler::schedule()
{
    if (is_settling_)
        return;
    const auto present = run_.now();
    const core::waiting_messages known = run_.inbox;
    // The messages are gone through only if one of them may be due.
    auto time = known.first_expiry.value_or(time_point::max());
    if (known.has_commands || time <= present)
        time = first_settled().first;
    if (time == time_point::max())
        return;
    if (time <= present) {
        start_settling();
        return;
    }
    if (!timer_)
        timer_ = run_.shared.clock.make_timer(run_.strand());
    const auto span = std::min(time - present, longest_sleep);
    const auto on_time = [this, weak = run_.weak_from_this(), wait = ++waits_] {
        const auto alive = weak.lock();
        if (alive && wait == waits_ && handler_.is_open())
            start_settling();
    };
    timer_->wait(span, asio::bind_executor(run_.strand(), on_time));
}

void message_settler::cancel_timer()
{
    if (timer_)
        timer_->cancel();
}

void message_settler::start_settling()
{
    is_settling_ = true;
    run_.shared.running.spawn(run_.strand(), settle_messages());
}

asio::awaitable<void> message_settler::settle_messages()
{
    const auto alive = run_.shared_from_this();
    while (handler_.is_open() && run_.is_current()) {
        const auto [time, first] = first_settled();
        if (!first || time > run_.now())
            break;
        const auto sequence = first->sequence;
        co_await commits_.wait_for_turn();
        const run_commits::turn turn{commits_};
        const auto waiting = run_.inbox.find(sequence);
        if (!handler_.is_open() || !run_.is_current() || waiting == run_.inbox.end())
            continue;
        std::optional<transition> decided;
        if (waiting->expires_at && *waiting->expires_at <= run_.now())
            decided = commits_.decide(core::message_expired{sequence});
        else if (auto command = stimulus_of_command(run_, commits_, *waiting))
            decided = commits_.decide(std::move(*command));
        if (!decided)
            continue;
        run_commit item{commits_, std::move(*decided), run_commit::origin::engine};
        if (!commits_.try_apply(item)) {
            co_await commits_.submit(item);
            commits_.take_result(item);
        }
    }
    is_settling_ = false;
    // Otherwise the next look at the store finds them.
    if (handler_.is_open() && run_.is_current())
        schedule();
}

} // namespace pawl::engine_detail
