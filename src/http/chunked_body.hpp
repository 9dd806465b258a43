#pragma once

#include "pawl/http/message.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <string>

namespace pawl::http::detail {

/// Writes the body of a streamed answer: in chunks (RFC 9112, section 7.1), or as it is for
/// HTTP/1.0, where the end of the connection ends the body.
class chunked_body final : public body_writer {
public:
    /// Sends bytes of the connection; returns whether they were sent.
    using sender =
        std::function<boost::asio::awaitable<bool>(std::array<boost::asio::const_buffer, 2>)>;

    chunked_body(sender send, bool chunked) : send_(std::move(send)), chunked_(chunked) {}

    boost::asio::awaitable<void> write(std::string part) override;

    /// Ends the body. Returns whether its end was sent.
    boost::asio::awaitable<bool> finish();

    /// The bytes of the body that were sent.
    std::size_t size() const noexcept { return size_; }

private:
    sender send_;
    bool chunked_;
    std::size_t size_ = 0;
};

} // namespace pawl::http::detail
