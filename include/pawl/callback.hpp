#pragma once

#include <string>
#include <string_view>

namespace pawl {

/// A callback by its name and its payload's type, so that both are written once:
///
/// @code
/// inline constexpr pawl::callback<one_time_password> verify{"verify"};
///
/// b.callback<Waiting>(verify, check_password);                // its handler takes that payload
/// co_await client.async_call("ada", verify, {"123456"});  // another payload does not compile
/// @endcode
///
/// `Payload` has a codec, or is void for a callback without one. What is stored is the name alone:
/// names given as plain strings are the same callbacks.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Payload>
class callback {
public:
    using payload_type = Payload;

    /// `name` has 1 to 128 bytes, and lives as long as this does: a literal.
    constexpr explicit callback(std::string_view name) noexcept : name_(name) {}

    std::string name() const { return std::string{name_}; }

private:
    std::string_view name_;
};

} // namespace pawl
