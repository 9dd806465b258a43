#pragma once

#include "pawl/detail/send_call.hpp"
#include "pawl/detail/trigger_call.hpp"
#include "pawl/log.hpp"
#include "pawl/record.hpp"
#include "pawl/record_store.hpp"
#include "pawl/store_transaction.hpp"
#include "pawl/trace.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pawl::detail {

/// An effect that `work` performs in a transaction of the store's database. The functions live in
/// the frame of the coroutine that waits for it.
struct effect_in_transaction {
    effect added; ///< without its value
    transaction_work work;
    std::function<void(effect&)> complete; ///< adds the result of the work; called after it
    std::function<std::string()> object;   ///< encodes the run's object; called on the run's strand
};

/// What the engine lends to a handler while it runs. Not an extension point.
class run_context {
public:
    /// The record that the handler started from, with the effects recorded since.
    virtual const record& current() const noexcept = 0;

    /// The number of this attempt of the handler, from 1.
    virtual int attempt() const noexcept { return current().attempt + 1; }

    /// Identifies the handler within its run: 0 is the step of the present visit, a number below
    /// 2^32 a timeout, by a hash of its name, 2^32 + m the callback with message number m.
    virtual std::uint64_t handler_number() const noexcept { return 0; }

    /// The schema version of the payload of a callback's handler.
    virtual std::uint32_t payload_version() const noexcept { return 1; }

    virtual time_point now() const = 0;

    /// The span of this attempt. The same during the attempt.
    virtual trace_context span() const;

    /// Saves the object and the effects as the run's next version. Completes when they are durable.
    virtual boost::asio::awaitable<void> checkpoint(std::string object) = 0;

    /// Saves the object and one more effect in one commit. Completes when they are durable.
    virtual boost::asio::awaitable<void> record_effect(effect added, std::string object) = 0;

    /// Performs an effect and records it in the same transaction.
    virtual boost::asio::awaitable<void> record_effect_in(effect_in_transaction& wanted);

    /// Announces that the function of an effect is about to be called. Returns false when an effect
    /// of that name is being performed: wait for effect_ended(), then try again. Throws when the
    /// handler may no longer record anything.
    virtual bool begin_effect(std::string_view /*name*/, bool /*for_run*/) { return true; }
    virtual void end_effect(std::string_view /*name*/, bool /*for_run*/) {}
    virtual boost::asio::awaitable<void> effect_ended() { co_return; }

    /// Leaves a callback in the inbox of a run of `workflow`, once by its key. Completes when it is
    /// durable. Throws pawl::error.
    virtual boost::asio::awaitable<void> send(std::string workflow, send_call callback);

    /// Starts a run of `workflow` as a child, once by its key. Completes when it is durable. Throws
    /// pawl::error.
    virtual boost::asio::awaitable<run_id> start(std::string workflow, trigger_call child);

    virtual boost::asio::awaitable<child_counts> count_children();

    virtual void log(log_level level, std::string_view line) const = 0;

protected:
    ~run_context() = default;
};

} // namespace pawl::detail
