#include "http/response_reader.hpp"

#include "http/beast.hpp"
#include "http/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/version.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace pawl::http::detail {
namespace {

namespace beast = boost::beast;

constexpr std::uint32_t header_limit = 64 * 1024;
constexpr std::size_t believed_length = 64 * 1024;

} // namespace

/// Stores what Beast parses in an answer.
class response_reader::parser final : public beast::http::basic_parser<false> {
public:
    explicit parser(client_response& out) : out_(out) {}

private:
    using error_code = beast::error_code;

    void on_response_impl(int status, beast::string_view, int, error_code& error) override
    {
        out_.status = status;
        if (status < 100) // Beast takes any three digits
            error = beast::http::error::bad_status;
    }

    void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                       error_code&) override
    {
        if (header_done_)
            return;
        const auto [at, added] = out_.headers.try_emplace(to_lower(view(name)), view(value));
        if (!added)
            at->second.append(", ").append(view(value));
    }

    void on_header_impl(error_code&) override { header_done_ = true; }

    void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override
    {
        if (length)
            out_.body.reserve(std::min<std::uint64_t>(*length, believed_length));
    }

    std::size_t on_body_impl(beast::string_view part, error_code&) override
    {
        out_.body += view(part);
        return part.size();
    }

    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view part, error_code&) override
    {
        out_.body += view(part);
        return part.size();
    }

    void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                         error_code&) override
    {
    }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
#if BOOST_BEAST_VERSION >= 359 // Boost 1.90
    void on_trailer_field_impl(beast::http::field, beast::string_view, beast::string_view,
                               error_code&) override
    {
    }
#endif
    void on_finish_impl(error_code&) override {}

    client_response& out_;
    bool header_done_ = false;
};

struct response_reader::state {
    bool to_head;
    std::size_t body_limit;
    std::optional<parser> parse;
    client_response message;
    bool any_byte = false;
    std::string fault;

    void begin()
    {
        message = {};
        parse.emplace(message);
        parse->header_limit(header_limit);
        parse->body_limit(body_limit);
        parse->skip(to_head);
        parse->eager(true);
    }
};

response_reader::response_reader(bool to_head, std::size_t body_limit)
    : state_(new state{.to_head = to_head, .body_limit = body_limit})
{
    state_->begin();
}

response_reader::~response_reader() = default;

response_reader::result response_reader::read(std::string_view data, std::size_t& consumed)
{
    auto& s = *state_;
    consumed = 0;
    while (!data.empty()) {
        s.any_byte = true;
        if (s.parse->is_header_done() && s.parse->chunked() && is_short_last_chunk(data))
            break;
        beast::error_code error;
        const auto used = s.parse->put(boost::asio::buffer(data.data(), data.size()), error);
        data.remove_prefix(used);
        consumed += used;
        if (error == beast::http::error::need_more) {
            if (data.size() > header_limit)
                return reject("the answer's header is too large");
            break;
        }
        if (error == beast::http::error::body_limit)
            return reject("the answer is larger than client_options::body_limit");
        if (error)
            return reject("the answer is not HTTP: " + error.message());
        if (!s.parse->is_done())
            continue;
        if (s.message.status == 101)
            return reject("the peer switched protocols");
        if (s.message.status >= 200)
            return result::complete;
        s.begin();
    }
    return result::need_more;
}

response_reader::result response_reader::end()
{
    beast::error_code error;
    if (state_->parse->got_some())
        state_->parse->put_eof(error);
    if (error || !state_->parse->is_done() || state_->message.status < 200)
        return reject("the connection was closed before the end of the answer");
    return result::complete;
}

response_reader::result response_reader::reject(std::string why)
{
    state_->fault = std::move(why);
    return result::failed;
}

bool response_reader::started() const noexcept
{
    return state_->any_byte;
}

bool response_reader::keep_alive() const noexcept
{
    return state_->parse->keep_alive();
}

client_response response_reader::take()
{
    return std::move(state_->message);
}

const std::string& response_reader::fault() const noexcept
{
    return state_->fault;
}

} // namespace pawl::http::detail
