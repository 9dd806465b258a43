#include "http/header_scanner.hpp"

#include "http/text.hpp"

namespace pawl::http::detail {

header_scanner::result header_scanner::scan(std::string_view data) noexcept
{
    // A peer that speaks another protocol, such as TLS, may never send a line feed: refuse at once.
    if (!data.empty() && !is_token(data.substr(0, 1)))
        return result::malformed;

    for (;;) {
        const auto feed = data.find('\n', seen_);
        if (feed == data.npos) {
            seen_ = data.size();
            return result::incomplete;
        }
        if (feed == line_ || data[feed - 1] != '\r')
            return result::malformed;
        const bool folded = data[line_] == ' ' || data[line_] == '\t';
        if (folded)
            return result::malformed;
        const bool empty_line = feed == line_ + 1;
        line_ = seen_ = feed + 1;
        if (empty_line)
            return result::complete;
    }
}

} // namespace pawl::http::detail
