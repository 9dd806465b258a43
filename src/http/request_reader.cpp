#include "http/request_reader.hpp"

#include "http/authority.hpp"
#include "http/beast.hpp"
#include "http/header_scanner.hpp"
#include "http/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/version.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace pawl::http::detail {
namespace {

namespace beast = boost::beast;

constexpr std::size_t header_read_size = 4 * 1024;
constexpr std::size_t body_read_size = 64 * 1024;

} // namespace

/// Stores what Beast parses in a request.
class request_reader::parser final : public beast::http::basic_parser<true> {
public:
    explicit parser(request& out) : out_(out) {}

    std::string target;
    int version = 11;
    int hosts = 0;
    int transfer_encodings = 0;
    int lengths = 0;
    bool body_began = false;

private:
    using error_code = beast::error_code;

    void on_request_impl(beast::http::verb, beast::string_view method,
                         beast::string_view target_text, int number, error_code&) override
    {
        out_.method = view(method);
        target = view(target_text);
        version = number;
    }

    void on_field_impl(beast::http::field name, beast::string_view name_text,
                       beast::string_view value, error_code&) override
    {
        // A trailer must not count as a header: the request was checked without it.
        if (header_done_)
            return;
        hosts += name == beast::http::field::host;
        transfer_encodings += name == beast::http::field::transfer_encoding;
        if (name == beast::http::field::content_length)
            lengths += value.find(',') == value.npos ? 1 : 2;
        const auto [at, added] = out_.headers.try_emplace(to_lower(view(name_text)), view(value));
        if (added || name == beast::http::field::content_length)
            return;
        at->second += name == beast::http::field::cookie ? "; " : ", ";
        at->second += view(value);
    }

    void on_header_impl(error_code&) override { header_done_ = true; }

    void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override
    {
        // A peer can announce any length at no cost, so only a little is reserved in advance.
        if (length)
            out_.body.reserve(std::min<std::uint64_t>(*length, body_read_size));
    }

    std::size_t on_body_impl(beast::string_view part, error_code&) override
    {
        body_began = true;
        out_.body += view(part);
        return part.size();
    }

    void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override
    {
        body_began = true;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view part, error_code&) override
    {
        out_.body += view(part);
        return part.size();
    }

    void on_response_impl(int, beast::string_view, int, error_code&) override {}
#if BOOST_BEAST_VERSION >= 359 // Boost 1.90
    void on_trailer_field_impl(beast::http::field, beast::string_view, beast::string_view,
                               error_code&) override
    {
    }
#endif
    void on_finish_impl(error_code&) override {}

    request& out_;
    bool header_done_ = false;
};

struct request_reader::state {
    std::size_t header_limit;
    std::size_t body_limit;

    header_scanner scanner;
    std::optional<parser> parse; ///< from the whole header on
    request message;
    target where;
    bool any_byte = false;
    bool empty_line_skipped = false;
    bool wants_continue = false;

    int refusal_status = 0;
    std::string refusal_detail;
};

request_reader::request_reader(std::size_t header_limit, std::size_t body_limit)
    : state_(new state{.header_limit = header_limit, .body_limit = body_limit})
{
}

request_reader::~request_reader() = default;

request_reader::result request_reader::read(std::string_view data, std::size_t& consumed)
{
    consumed = 0;
    if (state_->refusal_status != 0)
        return result::refused;
    if (!state_->parse) {
        // RFC 9112, section 2.2: an empty line before a request is to be ignored.
        if (!state_->empty_line_skipped && data.starts_with('\r')) {
            if (data.size() == 1)
                return result::need_more;
            state_->empty_line_skipped = true;
            consumed = data[1] == '\n' ? 2 : 0;
        }
        state_->any_byte = state_->any_byte || data.size() > consumed;
        const auto outcome = read_header(data.substr(consumed), consumed);
        if (outcome != result::complete)
            return outcome;
    }
    return read_body(data.substr(consumed), consumed);
}

request_reader::result request_reader::read_header(std::string_view data, std::size_t& consumed)
{
    auto& s = *state_;
    const auto scanned = s.scanner.scan(data.substr(0, s.header_limit));
    if (scanned == header_scanner::result::malformed)
        return reject(400, "This is not an HTTP/1.1 request, or its lines end ambiguously.");
    const bool complete = scanned == header_scanner::result::complete;
    if (!complete && data.size() >= s.header_limit)
        return reject(431, "The request line and headers are too large.");
    if (!complete)
        return result::need_more;

    auto& parse = s.parse.emplace(s.message);
    parse.header_limit(std::numeric_limits<std::uint32_t>::max());
    parse.body_limit(s.body_limit);
    beast::error_code error;
    consumed += parse.put(boost::asio::buffer(data.data(), s.scanner.size()), error);
    if (error == beast::http::error::body_limit)
        return reject(413, "The request's body is too large.");
    if (error || !parse.is_header_done())
        return reject(400, "The request line, or a header, is malformed or ambiguous.");
    parse.eager(true);

    // Equal lengths could count as one, but a proxy may have interpreted them in another way.
    if (parse.lengths > 1)
        return reject(400, "The request has more than one length.");
    const auto coding = s.message.header("transfer-encoding");
    if (parse.transfer_encodings > 1 || (parse.transfer_encodings == 1 && parse.version < 11))
        return reject(400, "The request's transfer encoding is ambiguous.");
    if (parse.transfer_encodings == 1 && !equal_ignoring_case(coding, "chunked"))
        return reject(501, "No transfer encoding but chunked is supported.");
    if (parse.hosts > 1 || (parse.hosts == 0 && parse.version >= 11))
        return reject(400, "A request must have one Host header.");

    const auto host = s.message.headers.find("host");
    if (host != s.message.headers.end() && !host->second.empty() && !is_authority(host->second))
        return reject(400, "The Host header is malformed.");

    if (parse.target == "*" && s.message.method == "OPTIONS") {
        s.message.path = parse.target;
    } else {
        auto where = parse_target(parse.target);
        if (!where)
            return reject(400,
                          "The request's target must begin with '/' and be correctly encoded.");
        if (!where->repeated.empty())
            return reject(400, "The query parameter " + where->repeated + " is given twice.");
        s.where = std::move(*where);
        s.message.path = std::move(s.where.path);
        s.message.query = std::move(s.where.query);
        // RFC 9112, section 3.2.2: the Host header is then to be ignored.
        if (!s.where.authority.empty())
            s.message.headers.insert_or_assign("host", s.where.authority);
    }

    const auto expect = s.message.header("expect");
    if (!expect.empty() && parse.version >= 11) {
        if (!equal_ignoring_case(expect, "100-continue"))
            return reject(417, "No expectation but 100-continue is supported.");
        s.wants_continue = !parse.is_done();
    }
    return result::complete;
}

request_reader::result request_reader::read_body(std::string_view data, std::size_t& consumed)
{
    auto& s = *state_;
    auto& parse = *s.parse;
    while (!parse.is_done()) {
        // Beast's parser must be called only with new bytes.
        if (data.empty() || (parse.chunked() && is_short_last_chunk(data)))
            break;
        beast::error_code error;
        const auto used = parse.put(boost::asio::buffer(data.data(), data.size()), error);
        data.remove_prefix(used);
        consumed += used;
        if (error == beast::http::error::body_limit)
            return reject(413, "The request's body is too large.");
        // Only a chunk's line or the trailer can stay unconsumed in part.
        if (error == beast::http::error::need_more && data.size() > s.header_limit)
            return reject(431, "A chunk's header, or the trailer, is too large.");
        if (error && error != beast::http::error::need_more)
            return reject(400, "The request's chunks are malformed.");
        if (error)
            break;
    }
    if (!parse.is_done())
        return result::need_more;
    return result::complete;
}

request_reader::result request_reader::reject(int status, std::string_view detail)
{
    state_->refusal_status = status;
    state_->refusal_detail = detail;
    return result::refused;
}

bool request_reader::started() const noexcept
{
    return state_->any_byte;
}

bool request_reader::take_continue() noexcept
{
    return std::exchange(state_->wants_continue, false) && !state_->parse->body_began;
}

std::size_t request_reader::read_size() const noexcept
{
    return state_->parse ? body_read_size : header_read_size;
}

request& request_reader::message() noexcept
{
    return state_->message;
}

const std::vector<std::string>& request_reader::segments() const noexcept
{
    return state_->where.segments;
}

std::string request_reader::title() const
{
    if (!state_->parse)
        return "a request";
    return state_->message.method + " " + std::string{path_as_sent()};
}

std::string_view request_reader::path_as_sent() const noexcept
{
    if (!state_->parse)
        return {};
    const std::string_view text = state_->parse->target;
    return text.substr(0, text.find('?'));
}

bool request_reader::keep_alive() const noexcept
{
    return state_->refusal_status == 0 && state_->parse->keep_alive();
}

bool request_reader::http_1_0() const noexcept
{
    return state_->parse && state_->parse->version < 11;
}

response request_reader::refusal() const
{
    return problem(state_->refusal_status, state_->refusal_detail);
}

void request_reader::refuse(int status, std::string_view detail)
{
    reject(status, detail);
}

void request_reader::next()
{
    auto& s = *state_;
    s.scanner = {};
    s.parse.reset();
    s.message = {};
    s.where = {};
    s.any_byte = s.empty_line_skipped = s.wants_continue = false;
}

} // namespace pawl::http::detail
