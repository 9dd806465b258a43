#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"
#include "pawl/workflow_events.hpp"
#include "streams/commit_feed.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace pawl::streams {

/// The events of one workflow, read from the log of a store. Each consumer has a cursor in each
/// shard; no event is stored a second time.
class workflow_source final : public event_source,
                              public std::enable_shared_from_this<workflow_source> {
public:
    workflow_source(std::shared_ptr<record_store> store, std::shared_ptr<commit_feed> commits,
                    std::shared_ptr<clock> clock, std::string workflow,
                    workflow_event_options options);

    boost::asio::awaitable<std::unique_ptr<event_receiver>> open(std::string consumer) override;

    /// The sequence of the consumer's next event in the shard; 0 if the consumer has never opened
    /// this source.
    boost::asio::awaitable<std::uint64_t> position(std::string consumer, std::uint32_t shard);

    /// The consumers that have a receiver.
    std::set<std::string> open_consumers() const;

    const std::string& workflow() const noexcept { return workflow_; }
    bool wants(event_kind kind) const noexcept;
    duration poll_interval() const noexcept { return options_.poll_interval; }

private:
    std::string cursor_of(const std::string& consumer) const;
    boost::asio::awaitable<void> store_begin(std::string cursor, std::uint32_t first);
    std::shared_ptr<void> register_consumer(std::string consumer);

    const std::shared_ptr<record_store> store_;
    const std::shared_ptr<commit_feed> commits_;
    const std::shared_ptr<clock> clock_;
    const std::string workflow_;
    const workflow_event_options options_;
    mutable std::mutex mutex_;
    std::multiset<std::string> open_;
};

} // namespace pawl::streams
