#include "engine/background/redriver.hpp"

#include "core/dead_letter.hpp"
#include "engine/run/exception_info.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <stdexcept>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t letters_per_page = 100;

} // namespace

redriver::redriver(engine_parts& shared, std::string topic, try_function try_letter,
                   duration attempt_timeout)
    : shared_(shared), topic_(std::move(topic)), try_(std::move(try_letter)),
      attempt_timeout_(attempt_timeout), strand_(asio::make_strand(shared.executor)),
      timer_(shared.clock.make_timer(strand_)), call_(shared.running, strand_)
{
}

asio::awaitable<redrive_result> redriver::run()
{
    redrive_result result;
    const auto end = co_await shared_.store.topic_end(topic_);
    for (std::uint64_t after = 0; after < end;) {
        const auto page = co_await shared_.store.topic_events(topic_, after, letters_per_page);
        std::vector<stream_event> failed;
        const auto before = after;
        for (const auto& letter : page) {
            if (letter.position > end || shared_.stopping)
                break;
            const auto failure = co_await try_letter(letter);
            if (failure && shared_.stopping)
                break;
            after = letter.position;
            ++(failure ? result.failed : result.succeeded);
            if (failure)
                failed.push_back(
                    core::count_failed_redrive(letter, detail::exception_text(failure)));
        }
        if (after > before)
            co_await finish_page(std::move(failed), after);
        if (shared_.stopping)
            throw system_error(make_error_code(errc::not_running));
        if (page.empty() || after == before)
            break;
    }
    co_return result;
}

asio::awaitable<std::exception_ptr> redriver::try_letter(stream_event letter)
{
    const auto late = std::make_shared<bool>(false);
    if (attempt_timeout_ > duration::zero())
        timer_->wait(attempt_timeout_, [weak = weak_from_this(), late] {
            const auto self = weak.lock();
            if (!self || std::exchange(*late, true))
                return;
            self->call_.cancel();
        });
    auto failure = co_await call_.run(try_(std::move(letter)));
    timer_->cancel();
    if (failure && *late)
        failure = std::make_exception_ptr(std::runtime_error("it took longer than its limit"));
    *late = true; // disarms a timer handler that is queued already
    co_return failure;
}

/// Moves the failed letters to the end of the topic and removes the tried ones, in one transaction.
asio::awaitable<void> redriver::finish_page(std::vector<stream_event> failed, std::uint64_t up_to)
{
    std::vector<change> batch;
    for (auto& letter : failed)
        batch.push_back(publication{topic_, std::move(letter)});
    batch.push_back(topic_trim{topic_, up_to});
    co_await shared_.store.apply(batch);
    streams::topic_waiters::of(shared_.store)->notify_topic(topic_);
}

void redriver::interrupt()
{
    asio::post(strand_, [self = shared_from_this()] { self->call_.cancel(); });
}

} // namespace pawl::engine_detail
