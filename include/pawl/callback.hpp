#pragma once

#include "pawl/time.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// A callback's name and the type of its payload, declared once for the builder and the clients:
///
/// @code
/// inline constexpr pawl::callback<one_time_password> verify{"verify"};
///
/// b.callback<Waiting>(verify, check_password);            // its handler takes that payload
/// co_await client.async_call("ada", verify, {"123456"});  // another payload does not compile
/// @endcode
///
/// `Payload` has a codec, or is void for a callback without payload. Only the name is stored: the
/// same name as a plain string means the same callback.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Payload>
class callback {
public:
    using payload_type = Payload;

    /// `name` has 1 to 128 bytes and must outlive this object: use a literal.
    constexpr explicit callback(std::string_view name) noexcept : name_(name) {}

    /// The name of the callback.
    std::string name() const { return std::string{name_}; }

private:
    std::string_view name_;
};

/// Options of client::async_call(), client::async_send() and run::send().
struct callback_options {
    /// Identifies this callback: a further callback of the same run with the same name and key is
    /// not handled again and completes with the outcome of the first one. The key of a callback
    /// that failed is free again. At most 1,024 bytes. A client's key must not begin with "pawl.".
    /// Default: empty, no key.
    std::string idempotency_key{};

    /// How long the callback may wait in the inbox before an attempt of its handler begins; then it
    /// fails with errc::expired. Not above zero: at once. Default: empty, as long as the run is
    /// unfinished.
    std::optional<any_duration> expires_after{};
};

} // namespace pawl
