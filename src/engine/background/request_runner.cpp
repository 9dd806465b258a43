#include "engine/background/request_runner.hpp"

#include "async/auto_reset_event.hpp"
#include "core/dead_letter.hpp"
#include "core/reserved_names.hpp"
#include "core/text.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure_kind.hpp"
#include "engine/run/run_calls.hpp"
#include "pawl/dead_letter.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// After this time another engine takes the requests that a killed engine had taken.
constexpr duration request_lease = std::chrono::seconds{10};

/// The wait before a request is taken again that could not be carried out: the first one, which
/// doubles with each failure, and the longest.
constexpr duration first_delay = std::chrono::seconds{1};
constexpr duration longest_delay = std::chrono::seconds{60};

/// The key under which the run or the inbox knows the request. Stored: never change.
std::string key_of(const stored_request& request)
{
    return request.key.empty() ? "pawl.request/" + std::to_string(request.id) : request.key;
}

duration delay_after(std::uint32_t failures)
{
    return std::min(longest_delay, first_delay * (1 << std::min(failures, 6U)));
}

/// Whether the request can be carried out later, or by another engine.
bool is_worth_a_retry(const std::exception_ptr& failure)
{
    const auto code = error_code_of(failure);
    return is_infrastructure_failure(failure) || is_too_old(failure) ||
           code == make_error_code(errc::inbox_full) || code == make_error_code(errc::conflict);
}

} // namespace

/// The requests that were taken together.
struct request_runner::page {
    std::vector<std::uint64_t> done;

    /// By the number of their failures, up to the one with the longest delay.
    std::array<std::vector<std::uint64_t>, 7> failed;
    std::size_t groups = 0; ///< that are not finished
    std::shared_ptr<async::auto_reset_event> finished = std::make_shared<async::auto_reset_event>();
};

request_runner::request_runner(engine_parts& shared, request_queue& queue, duration poll_interval)
    : shared_(shared), queue_(queue), poll_interval_(poll_interval),
      strand_(asio::make_strand(shared.executor)), timer_(shared.clock.make_timer(strand_))
{
}

void request_runner::start()
{
    for (const auto& [name, entry] : shared_.workflows)
        if (!name.starts_with(core::reserved_prefix))
            workflows_.push_back(name);
    if (workflows_.empty())
        return;
    subscription_ = queue_.subscribe([weak = weak_from_this()] {
        if (const auto self = weak.lock())
            self->wake();
    });
    shared_.running.spawn(strand_, work());
}

void request_runner::stop()
{
    asio::post(strand_, [self = shared_from_this()] {
        self->subscription_.reset();
        self->timer_->cancel();
    });
}

void request_runner::wake()
{
    if (!woken_.exchange(true))
        asio::post(strand_, [self = shared_from_this()] { self->timer_->cancel(); });
}

asio::awaitable<void> request_runner::work()
{
    co_await asio::post(strand_, asio::use_awaitable); // stop() may run first
    const auto self = shared_from_this();
    for (int failures = 0; !shared_.stopping;) {
        woken_ = false;
        std::size_t taken = 0;
        std::exception_ptr failure;
        try {
            taken = co_await carry_out_page();
        } catch (...) {
            failure = std::current_exception();
        }
        failures = failure ? failures + 1 : 0;
        if (failure && is_worth_a_line(failures))
            shared_.log({log_level::warn, "cannot take the requests that programs have stored: " +
                                              detail::exception_text(failure)});
        if (shared_.stopping)
            break;
        if (failure)
            co_await wait(*timer_, failure_pause);
        else if (taken < page_size && !woken_)
            co_await wait(*timer_, poll_interval_);
    }
    subscription_.reset();
}

/// Carries out one page of requests. Returns their number.
asio::awaitable<std::size_t> request_runner::carry_out_page()
{
    auto requests = co_await queue_.take(workflows_, page_size, request_lease);
    if (requests.empty())
        co_return 0;
    std::map<std::pair<std::string, std::string>, request_group> groups;
    for (auto& request : requests) {
        auto& group = groups[{request.workflow, request.foreign_id}];
        group.push_back(std::move(request));
    }
    const auto taken = std::make_shared<page>();
    taken->groups = groups.size();
    for (auto& [name, group] : groups)
        shared_.running.spawn(strand_, carry_out_group(std::move(group), taken));
    while (taken->groups > 0)
        co_await taken->finished->wait();
    for (std::uint32_t failures = 0; failures < taken->failed.size(); ++failures) {
        const bool is_first = failures == 0;
        if (!taken->failed.at(failures).empty() || (is_first && !taken->done.empty()))
            co_await queue_.settle(is_first ? taken->done : std::vector<std::uint64_t>{},
                                   taken->failed.at(failures), delay_after(failures));
    }
    co_return requests.size();
}

/// After a request that is given back, the following ones of the foreign id are given back too:
/// they keep their order.
asio::awaitable<void> request_runner::carry_out_group(request_group group,
                                                      std::shared_ptr<page> taken)
{
    co_await asio::post(strand_, asio::use_awaitable); // see log_follower::process_lane
    bool is_blocked = false;
    for (const auto& request : group) {
        if (!is_blocked)
            is_blocked = !co_await finish_request(request);
        if (is_blocked)
            taken->failed.at(std::min<std::size_t>(request.failures, taken->failed.size() - 1))
                .push_back(request.id);
        else
            taken->done.push_back(request.id);
    }
    --taken->groups;
    taken->finished->set();
}

/// False if the request has to be given back.
asio::awaitable<bool> request_runner::finish_request(const stored_request& request)
{
    std::exception_ptr failure;
    try {
        co_await carry_out(request);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure)
        co_return true;
    const bool is_final = !is_worth_a_retry(failure);
    auto error = detail::exception_text(failure);
    report(request, is_final, error);
    if (!is_final)
        co_return false;
    bool is_stored = true;
    try {
        co_await store_dead_letter(request, std::move(error));
    } catch (...) {
        is_stored = false;
        report(request, false, detail::exception_text(std::current_exception()));
    }
    co_return is_stored;
}

asio::awaitable<void> request_runner::carry_out(const stored_request& request)
{
    if (request.callback)
        co_await send_callback(request);
    else
        co_await start_run(request);
}

asio::awaitable<void> request_runner::start_run(const stored_request& request)
{
    const auto& workflow = shared_.workflows.find(request.workflow)->second.impl;
    record given;
    given.object = request.payload;
    given.object_version = request.version.value_or(workflow->rules.object_version);
    std::string upgraded;
    std::string ignored;
    const auto object =
        workflow->decode(detail::present_object(*workflow, given, upgraded), &ignored);
    if (!ignored.empty())
        throw error(errc::decode_failed, "the object has " + ignored +
                                             ", which the objects of workflow " +
                                             core::quoted(request.workflow) + " do not have");
    detail::trigger_call call;
    call.foreign_id = request.foreign_id;
    workflow->encode(object, call.object);
    call.key = key_of(request);
    co_await shared_.calls->start_child(workflow, std::move(call));
}

asio::awaitable<void> request_runner::send_callback(const stored_request& request)
{
    detail::send_call call;
    call.run = request.foreign_id;
    call.name = *request.callback;
    call.payload = request.payload;
    call.payload_version = request.version;
    call.key = key_of(request);
    co_await shared_.calls->send_callback(request.workflow, std::move(call), request.at);
}

asio::awaitable<void> request_runner::store_dead_letter(const stored_request& request,
                                                        std::string error)
{
    auto named = request;
    named.key = key_of(request);
    const auto topic = request_dead_letter_topic(request.workflow);
    const std::vector<change> batch{
        publication{topic, core::request_dead_letter(named, std::move(error))}};
    co_await shared_.store.apply(batch);
    streams::topic_waiters::of(shared_.store)->notify_topic(topic);
}

asio::awaitable<void> request_runner::redrive(stream_event letter)
{
    const auto request = core::request_of(std::move(letter));
    if (!shared_.workflows.contains(request.workflow))
        throw error(errc::decode_failed, "the dead letter is for a workflow " +
                                             core::quoted(request.workflow) +
                                             ", which the engine does not have");
    co_await carry_out(request);
}

void request_runner::report(const stored_request& request, bool is_final, const std::string& error)
{
    const auto suffix = lines_.admit(shared_.clock.now());
    if (!suffix)
        return;
    const auto text = (request.callback ? "the callback " + core::quoted(*request.callback)
                                        : std::string{"the start"}) +
                      " of foreign id " + core::quoted(request.foreign_id) +
                      ", which a program has stored in the database, " +
                      (is_final ? "becomes a dead letter" : "failed and will be tried again") +
                      *suffix;
    log_entry entry{is_final ? log_level::error : log_level::warn, text};
    entry.workflow = request.workflow;
    entry.error = error;
    shared_.log(entry);
}

} // namespace pawl::engine_detail
