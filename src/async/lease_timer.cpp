#include "async/lease_timer.hpp"

#include <boost/asio/bind_executor.hpp>

#include <utility>

namespace pawl::async {

std::shared_ptr<lease_timer> lease_timer::start(clock& clock,
                                                const boost::asio::any_io_executor& strand,
                                                duration lease_duration, lapse_handler on_lapse)
{
    const auto started = std::make_shared<lease_timer>();
    started->timer_ = clock.make_timer(strand);
    started->timer_->wait(lease_duration,
                          boost::asio::bind_executor(strand, [weak = std::weak_ptr{started},
                                                              on_lapse = std::move(on_lapse)] {
                              if (const auto self = weak.lock()) {
                                  self->lapsed_ = true;
                                  on_lapse(*self);
                              }
                          }));
    return started;
}

} // namespace pawl::async
