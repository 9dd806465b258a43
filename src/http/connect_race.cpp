#include "http/connect_race.hpp"

#include "http/executors.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

connect_race::connect_race(const asio::any_io_executor& strand,
                           std::vector<tcp::endpoint> endpoints, duration delay)
    : strand_(strand), endpoints_(std::move(endpoints)), delay_(delay), timer_(strand),
      error_(asio::error::host_not_found)
{
}

void connect_race::start(std::function<void()> when_done)
{
    when_done_ = std::move(when_done);
    if (endpoints_.empty())
        asio::post(strand_, [self = shared_from_this()] { self->finish(); });
    else
        try_next();
}

void connect_race::stop()
{
    done_ = true;
    when_done_ = nullptr;
    timer_.cancel();
    error_code ignored;
    for (auto& socket : attempts_)
        socket.close(ignored);
}

void connect_race::try_next()
{
    const auto attempt = attempts_.size();
    attempts_.emplace_back(strand_);
    attempts_.back().async_connect(endpoints_[attempt],
                                   [self = shared_from_this(), attempt](error_code error) {
                                       self->connected(attempt, error);
                                   });
    if (attempts_.size() == endpoints_.size())
        return;
    timer_.expires_at(from_now(delay_));
    timer_.async_wait([self = shared_from_this(), attempt](error_code error) {
        // A failed attempt may have begun the next one already.
        if (!error && !self->done_ && self->attempts_.size() == attempt + 1)
            self->try_next();
    });
}

void connect_race::connected(std::size_t attempt, error_code error)
{
    if (done_)
        return;
    error_ = error;
    if (!error) {
        winner_ = attempt;
        finish();
        return;
    }
    ++failed_;
    if (failed_ == endpoints_.size())
        finish();
    else if (attempts_.size() < endpoints_.size())
        try_next();
}

void connect_race::finish()
{
    if (done_)
        return;
    done_ = true;
    timer_.cancel();
    error_code ignored;
    for (std::size_t i = 0; i < attempts_.size(); ++i)
        if (error_ || i != winner_)
            attempts_[i].close(ignored);
    std::exchange(when_done_, nullptr)();
}

std::vector<tcp::endpoint> alternate_families(const std::vector<tcp::endpoint>& endpoints)
{
    std::vector<tcp::endpoint> first;
    std::vector<tcp::endpoint> second;
    for (const auto& endpoint : endpoints) {
        const bool same = endpoint.address().is_v6() == endpoints.front().address().is_v6();
        (same ? first : second).push_back(endpoint);
    }
    std::vector<tcp::endpoint> mixed;
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i)
        for (const auto* family : {&first, &second})
            if (i < family->size())
                mixed.push_back((*family)[i]);
    return mixed;
}

} // namespace pawl::http::detail
