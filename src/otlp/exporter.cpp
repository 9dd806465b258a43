#include "async/task_scope.hpp"
#include "core/decide.hpp"
#include "core/option_check.hpp"
#include "core/stable_hash.hpp"
#include "definition/check_definition.hpp"
#include "http/url.hpp"
#include "otlp/encode_spans.hpp"
#include "otlp/span_queue.hpp"
#include "pawl/detail/json_io.hpp"
#include "pawl/error.hpp"
#include "pawl/http/client.hpp"
#include "pawl/otlp.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <exception>
#include <span>
#include <vector>

namespace pawl {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto no_error = asio::as_tuple(asio::use_awaitable);

/// Beyond any use, and far from the end of the clock.
constexpr duration longest_wait = std::chrono::hours{24 * 365};

steady::time_point from_now(duration span)
{
    return steady::now() + std::clamp(span, duration::zero(), longest_wait);
}

otlp_options checked(otlp_options options)
{
    const core::option_check check{"otlp_options::"};
    check.at_least("max_queue_spans", options.max_queue_spans, 1);
    check.at_least("max_queue_bytes", options.max_queue_bytes, 1);
    check.at_least("max_batch_bytes", options.max_batch_bytes, 1);
    check.within("max_batch_spans", options.max_batch_spans, 1, options.max_queue_spans);
    check.above_zero("timeout", options.timeout);
    check.at_least("schedule_delay", options.schedule_delay, duration::zero());
    check.at_least("log_interval", options.log_interval, duration::zero());
    for (const auto& problem : core::retry_problems(options.retry))
        throw definition_error("otlp_options::retry." + problem);
    if (!options.log)
        options.log = [](const log_entry&) {
        };
    return options;
}

/// The URL of the collector and the target of requests.
struct address {
    std::string url;
    std::string target;
};

address split(const std::string& endpoint)
{
    if (!http::detail::parse_url(endpoint))
        core::option_check{"otlp_options::"}.refuse(
            "endpoint", "\"" + endpoint + "\"",
            "of the form http://HOST[:PORT][/PATH], the same with https, or unix:SOCKET");
    if (endpoint.starts_with("unix:"))
        return {endpoint, "/v1/traces"};
    const auto slash = endpoint.find('/', endpoint.find("//") + 2);
    if (slash == std::string::npos)
        return {endpoint, "/"};
    return {endpoint.substr(0, slash), endpoint.substr(slash)};
}

http::client make_client(const asio::any_io_executor& executor, const otlp_options& options)
{
    http::client_options client;
    client.timeout = options.timeout;
    client.max_connections = 1;
    client.headers = options.headers;
    client.ca_file = options.ca_file;
    client.body_limit = 64 * 1024;
    return {executor, split(options.endpoint).url, std::move(client)};
}

/// How a request ended.
struct attempt_result {
    bool accepted = false;
    bool may_repeat = false;
    std::uint64_t rejected = 0; ///< spans of an accepted request
    duration retry_after{};
    std::string problem; ///< why spans were not taken
};

/// An answer of a collector that has taken a part of the spans.
void read_partial_success(const std::string& body, attempt_result& result)
{
    if (body.find("partialSuccess") == std::string::npos)
        return;
    try {
        const auto answer = detail::parse_json(body);
        const auto& partial = answer.at("partialSuccess").as_object();
        if (const auto* message = partial.if_contains("errorMessage"))
            result.problem = message->as_string().c_str();
        if (const auto* count = partial.if_contains("rejectedSpans"))
            result.rejected = count->is_string() ? std::stoull(count->as_string().c_str())
                                                 : count->to_number<std::uint64_t>();
    } catch (const std::exception&) { // not for us to judge: the request was accepted
    }
}

/// Seconds only: a date says nothing to a machine whose clock differs.
duration read_retry_after(const http::client_response& answer)
{
    const auto header = answer.headers.find("retry-after");
    if (header == answer.headers.end())
        return {};
    std::uint32_t seconds = 0;
    const auto* const end = header->second.data() + header->second.size();
    const auto read = std::from_chars(header->second.data(), end, seconds);
    return read.ptr == end ? duration{std::chrono::seconds{seconds}} : duration{};
}

attempt_result judge(const http::client_response& answer)
{
    attempt_result result;
    if (answer.status >= 200 && answer.status < 300) {
        result.accepted = true;
        read_partial_success(answer.body, result);
        return result;
    }
    constexpr std::array repeatable{429, 502, 503, 504};
    result.problem = "the collector answered " + std::to_string(answer.status);
    result.may_repeat = std::ranges::find(repeatable, answer.status) != repeatable.end();
    result.retry_after = read_retry_after(answer);
    return result;
}

} // namespace

/// The queue is used from any thread, everything else on the strand. The coroutine that sends runs
/// while spans wait, and keeps this object alive.
class otlp_exporter::impl : public std::enable_shared_from_this<impl> {
public:
    impl(const asio::any_io_executor& executor, otlp_options options)
        : options_(checked(std::move(options))), strand_(asio::make_strand(executor)),
          target_(split(options_.endpoint).target), client_(make_client(executor, options_)),
          encoder_(options_),
          queue_(options_.max_queue_spans, options_.max_queue_bytes, options_.max_batch_spans),
          tasks_(strand_, options_.log), pause_(strand_)
    {
    }

    bool has_room() noexcept { return queue_.has_room(); }

    void add(span finished)
    {
        const auto outcome = queue_.add(std::move(finished));
        if (outcome == otlp::span_queue::added::first)
            asio::post(strand_, [self = shared_from_this()] { self->start(); });
        else if (outcome == otlp::span_queue::added::batch_full)
            asio::post(strand_, [self = shared_from_this()] { self->pause_.cancel(); });
    }

    otlp_statistics statistics() const
    {
        return {exported_, queue_.dropped() + dropped_, failed_, queue_.size() + sending_};
    }

    void abandon()
    {
        queue_.close();
        asio::post(strand_, [self = shared_from_this()] { self->cancel(); });
    }

    static asio::awaitable<void> stop(std::shared_ptr<impl> self, duration timeout)
    {
        const auto deadline = from_now(timeout);
        self->queue_.close();
        self->is_stopping_ = true;
        self->pause_.cancel();
        steady_timer wait{self->strand_};
        self->stops_.push_back(&wait);
        while (self->is_sending_ && steady::now() < deadline) {
            wait.expires_at(deadline);
            co_await wait.async_wait(no_error);
        }
        if (self->is_sending_)
            self->cancel();
        while (self->is_sending_) {
            wait.expires_at(steady::time_point::max());
            co_await wait.async_wait(no_error);
        }
        std::erase(self->stops_, &wait);
    }

    const asio::any_io_executor& strand() const noexcept { return strand_; }

private:
    using steady_timer = asio::steady_timer;

    void start()
    {
        is_sending_ = true;
        tasks_.spawn(strand_, send_all(shared_from_this()), cancellation_.slot(),
                     shared_from_this());
    }

    /// Ends the coroutine. It is inside when it waits for something other than `pause_`.
    void cancel()
    {
        is_cancelled_ = true;
        pause_.cancel();
        if (in_request_)
            cancellation_.emit(asio::cancellation_type::terminal);
    }

    static asio::awaitable<void> send_all(std::shared_ptr<impl> self)
    {
        while (!self->is_cancelled_) {
            if (!self->queue_.has_batch())
                co_await self->sleep(self->options_.schedule_delay, false);
            const auto batch = self->queue_.take();
            if (batch.empty())
                break;
            self->sending_ = batch.size();
            co_await self->send_batch(batch);
        }
        if (self->is_cancelled_)
            self->queue_.clear();
        self->is_sending_ = false;
        for (auto* const stop : self->stops_)
            stop->cancel();
    }

    /// Waits for the time, or until a stop. Without `whole`, a full batch ends the wait, too.
    asio::awaitable<void> sleep(duration span, bool whole)
    {
        const auto deadline = from_now(span);
        while (!is_cancelled_ && !is_stopping_ && steady::now() < deadline &&
               (whole || !queue_.has_batch())) {
            pause_.expires_at(deadline);
            co_await pause_.async_wait(no_error);
        }
    }

    asio::awaitable<void> send_batch(std::span<const span> batch)
    {
        while (!batch.empty() && !is_cancelled_) {
            std::string body;
            const auto count = encoder_.encode(batch, body);
            co_await send_body(std::move(body), count);
            batch = batch.subspan(count);
            sending_ = batch.size();
        }
        dropped_ += batch.size();
        sending_ = 0;
    }

    asio::awaitable<void> send_body(std::string body, std::uint64_t count)
    {
        for (int failures = 1;; ++failures) {
            const auto result = co_await request(body);
            if (result.accepted) {
                const auto rejected = std::min(result.rejected, count);
                exported_ += count - rejected;
                note_failure(rejected, result.problem);
                co_return;
            }
            const auto& retry = options_.retry;
            const bool is_last = retry.max_attempts > 0 && failures >= retry.max_attempts;
            if (!result.may_repeat || is_last || is_cancelled_ || is_stopping_) {
                note_failure(count, result.problem);
                co_return;
            }
            const auto backoff = core::retry_delay(retry, failures, core::mix(exported_ + count));
            const auto asked = std::min(result.retry_after, retry.max_interval);
            co_await sleep(std::max(backoff, asked), true);
        }
    }

    asio::awaitable<attempt_result> request(const std::string& body)
    {
        attempt_result result;
        http::client_request message;
        message.method = "POST";
        message.target = target_;
        message.body = body;
        in_request_ = true;
        try {
            const auto answer = co_await client_.request(std::move(message));
            result = judge(answer);
        } catch (const http::client_error& error) {
            result.problem = error.what();
            result.may_repeat = true;
        } catch (const std::exception& error) {
            result.problem = error.what();
        }
        in_request_ = false;
        co_return result;
    }

    void note_failure(std::uint64_t count, const std::string& problem)
    {
        failed_ += count;
        const bool has_new = failed_ + queue_.dropped() > logged_;
        if (!has_new || steady::now() < next_line_)
            return;
        next_line_ = from_now(options_.log_interval);
        logged_ = failed_ + queue_.dropped();
        const auto text = "spans were not exported: " + std::to_string(failed_) + " failed, " +
                          std::to_string(queue_.dropped()) + " dropped so far";
        log_entry line{log_level::warn, text};
        line.error = problem;
        options_.log(line);
    }

    const otlp_options options_;
    const asio::any_io_executor strand_;
    const std::string target_;
    http::client client_;
    const otlp::span_encoder encoder_;
    otlp::span_queue queue_;
    async::task_scope tasks_;
    asio::steady_timer pause_;
    asio::cancellation_signal cancellation_;
    std::vector<asio::steady_timer*> stops_;
    bool is_sending_ = false;
    bool is_stopping_ = false;
    bool is_cancelled_ = false;
    bool in_request_ = false;
    steady::time_point next_line_;
    std::uint64_t logged_ = 0; ///< spans that were not exported when the last line was logged
    std::atomic<std::uint64_t> exported_{0};
    std::atomic<std::uint64_t> failed_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::size_t> sending_{0};
};

otlp_exporter::otlp_exporter(asio::any_io_executor executor, otlp_options options)
    : impl_(std::make_shared<impl>(executor, std::move(options)))
{
}

otlp_exporter::~otlp_exporter()
{
    impl_->abandon();
}

bool otlp_exporter::has_room() noexcept
{
    return impl_->has_room();
}

void otlp_exporter::add(span finished) noexcept
{
    impl_->add(std::move(finished));
}

otlp_statistics otlp_exporter::statistics() const
{
    return impl_->statistics();
}

asio::awaitable<void> otlp_exporter::async_stop(any_duration timeout)
{
    co_await asio::co_spawn(
        impl_->strand(), impl::stop(impl_, timeout),
        asio::bind_cancellation_slot(asio::cancellation_slot{}, asio::use_awaitable));
}

} // namespace pawl
