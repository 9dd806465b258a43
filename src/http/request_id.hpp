#pragma once

#include <string>
#include <string_view>

namespace pawl::http::detail {

/// `sent` if it may stand in logs and headers as it is: 1 to 128 letters, digits and "-_.". Else
/// 16 random hexadecimal digits.
std::string choose_request_id(std::string_view sent);

} // namespace pawl::http::detail
