#pragma once

#include "pawl/callback.hpp"
#include "pawl/codec.hpp"
#include "pawl/detail/exception_text.hpp"
#include "pawl/detail/failure.hpp"
#include "pawl/error.hpp"
#include "pawl/message.hpp"
#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// A callback or command without types, of a client or of a handler.
struct send_call {
    run_ref run;
    message_kind kind = message_kind::callback;
    std::string name;
    std::string payload;

    /// Empty: the payload is bytes, in the version that the callback takes now.
    std::optional<std::uint32_t> payload_version = 1;

    std::string requested_by;
    std::string key;
    std::optional<duration> expires_after;
    bool wait_until_settled = true;
    failure early; ///< what went wrong in the typed layer before the call began
};

/// Encodes `value`. An exception of its codec becomes encode_failed, which reaches the completion
/// handler like any other error.
template <class T>
failure encode_into(const T& value, std::string& out)
{
    try {
        codec<T>::encode(value, out);
        return {};
    } catch (...) {
        return {errc::encode_failed, exception_text(std::current_exception())};
    }
}

template <class Payload>
send_call make_callback_call(run_ref run, std::string name, const Payload& payload,
                             callback_options options)
{
    send_call call;
    call.run = std::move(run);
    call.name = std::move(name);
    call.early = encode_into(payload, call.payload);
    if constexpr (std::is_same_v<Payload, bytes>)
        call.payload_version.reset();
    else
        call.payload_version = schema<Payload>::version;
    call.key = std::move(options.idempotency_key);
    call.expires_after = options.expires_after;
    return call;
}

} // namespace pawl::detail
