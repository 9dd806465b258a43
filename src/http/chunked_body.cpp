#include "http/chunked_body.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>

namespace pawl::http::detail {

namespace asio = boost::asio;

asio::awaitable<void> chunked_body::write(std::string part)
{
    if (part.empty()) // an empty chunk would end the body
        co_return;
    const auto size = part.size();
    std::string head;
    if (chunked_) {
        head = fmt::format("{:x}\r\n", size);
        part += "\r\n";
    }
    const std::array buffers{asio::const_buffer(head.data(), head.size()),
                             asio::const_buffer(part.data(), part.size())};
    const bool sent = co_await send_(buffers);
    if (!sent)
        throw boost::system::system_error(asio::error::operation_aborted, "http stream");
    size_ += size;
}

asio::awaitable<bool> chunked_body::finish()
{
    static constexpr std::string_view last = "0\r\n\r\n";
    if (!chunked_)
        co_return true;
    const std::array buffers{asio::const_buffer(last.data(), last.size()), asio::const_buffer{}};
    const bool sent = co_await send_(buffers);
    co_return sent;
}

} // namespace pawl::http::detail
