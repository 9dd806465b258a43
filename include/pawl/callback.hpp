#pragma once

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

} // namespace pawl
