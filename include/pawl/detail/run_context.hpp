#pragma once

#include "pawl/log.hpp"
#include "pawl/record.hpp"
#include "pawl/store_transaction.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pawl::detail {

/// An effect that `work` makes in a transaction of the store's database. The functions live in the
/// frame of the coroutine that waits for it.
struct effect_in_transaction {
    effect added; ///< without its value
    transaction_work work;
    std::function<void(effect&)> complete; ///< adds what the work has led to; called after it
    std::function<std::string()> object;   ///< encodes the run's object; called on the run's strand
};

/// What the engine lends to a handler for as long as it runs. Not an extension point.
class run_context {
public:
    /// The record that the handler started from, with the effects recorded since.
    virtual const record& current() const noexcept = 0;

    /// Which attempt of the handler this is; the first is 1.
    virtual int attempt() const noexcept { return current().attempt + 1; }

    /// Tells the handlers of one run apart: 0 is the step of the present visit, below 2^32 a number
    /// made of the name of one of its timeouts, 2^32 + m the handler of the callback with message
    /// number m.
    virtual std::uint64_t handler_number() const noexcept { return 0; }

    /// The version of the schema of the payload that a callback's handler is given.
    virtual std::uint32_t payload_version() const noexcept { return 1; }

    virtual time_point now() const = 0;

    /// Saves object and effects as the run's next version and completes when they are durable.
    virtual boost::asio::awaitable<void> checkpoint(std::string object) = 0;

    /// As checkpoint, and adds one effect in the same commit.
    virtual boost::asio::awaitable<void> record_effect(effect added, std::string object) = 0;

    /// As record_effect, in the transaction in which the effect is made.
    virtual boost::asio::awaitable<void> record_effect_in(effect_in_transaction& wanted);

    /// Says that an effect's function is about to be called. False when one of that name is under
    /// way: then wait for effect_ended() and look again. Throws when the handler may record nothing
    /// any longer.
    virtual bool begin_effect(std::string_view /*name*/, bool /*for_run*/) { return true; }
    virtual void end_effect(std::string_view /*name*/, bool /*for_run*/) {}
    virtual boost::asio::awaitable<void> effect_ended() { co_return; }

    virtual void log(log_level level, std::string_view line) const = 0;

protected:
    ~run_context() = default;
};

} // namespace pawl::detail
