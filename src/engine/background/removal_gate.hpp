#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/background/log_consumers.hpp"
#include "engine/background/log_follower.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace pawl::engine_detail {

/// Decides whether a finished run of one workflow may be removed: not while a hook, a connector or
/// the parent of the run needs it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class removal_gate {
public:
    /// All of them outlive this object.
    /// @param hooks may be null.
    removal_gate(engine_parts& shared, const detail::workflow_impl& workflow, log_follower* hooks,
                 const log_consumers& consumers)
        : shared_(shared), workflow_(workflow), hooks_(hooks), consumers_(consumers)
    {
    }

    /// Who needs the run, in words; empty if it may be removed.
    boost::asio::awaitable<std::string> holder_of(record run);

    /// The positions of consumers are read again.
    void forget_positions() { positions_.clear(); }

private:
    boost::asio::awaitable<bool> has_seen(log_consumers::entry consumer, record run, event last);
    boost::asio::awaitable<std::uint64_t> position_of(log_consumers::entry consumer,
                                                      std::uint32_t shard);

    engine_parts& shared_;
    const detail::workflow_impl& workflow_;
    log_follower* const hooks_;
    const log_consumers& consumers_;
    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t>
        positions_; ///< by consumer and shard
};

} // namespace pawl::engine_detail
