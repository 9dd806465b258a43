#include "admin/console_routes.hpp"

#include "admin/console_files.hpp"
#include "admin/parameters.hpp"
#include "admin/refusal.hpp"
#include "admin/session.hpp"
#include "admin/views.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

namespace pawl::admin::detail {

using boost::asio::awaitable;

namespace {

/// Whether the browser has the version of the file.
bool has_version(const http::request& message, std::string_view etag)
{
    const auto known = message.header("if-none-match");
    return known == "*" || known.find(etag) != known.npos;
}

http::response show_file(api_core& core, const console_file& file, const http::request& message)
{
    core.rules.check_host(message);
    http::response answer;
    // A browser may keep the file, but asks each time: after an update it has the new version.
    answer.headers = {{"ETag", std::string{file.etag}}, {"Cache-Control", "no-cache"}};
    answer.content_type = file.content_type;
    if (has_version(message, file.etag)) {
        answer.status = 304;
        return answer;
    }
    // Each browser reads gzip, and so it is not negotiated.
    answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.body = file.gzip;
    return answer;
}

http::response redirect_to_page(api_core& core, const http::request& message)
{
    core.rules.check_host(message);
    http::response answer;
    answer.status = 308;
    answer.headers.emplace_back("Location", core.options.prefix + "/");
    return answer;
}

http::response sign_in(api_core& core, const http::request& message)
{
    core.rules.check_host(message);
    core.rules.check_change(message);
    body_reader body(message);
    const auto token = body.text("token");
    body.finish();
    const auto sender = core.rules.identify(with_token(message, is_token(token) ? token : ""));
    const auto granted = to_string(sender.granted);
    auto answer =
        json_response(to_text({{"name", sender.name},
                               {"role", boost::json::string_view{granted.data(), granted.size()}},
                               {"method", sender.method}}));
    answer.headers.emplace_back("Set-Cookie", begin_session(message, core.options.prefix, token));
    return answer;
}

/// Without a look at the sender, whose token may have expired.
http::response sign_out(api_core& core, const http::request& message)
{
    core.rules.check_host(message);
    core.rules.check_change(message);
    http::response answer;
    answer.status = 204;
    answer.headers.emplace_back("Set-Cookie", end_session(core.options.prefix));
    return answer;
}

/// Answers, or explains a refusal. There is no challenge, as by an API's 401: the page asks for the
/// token.
template <class Function>
awaitable<http::response> answer_page(shared_core core, Function answer_to, http::request message)
{
    http::response answer;
    try {
        answer = answer_to(*core, message);
    } catch (const refusal& refused) {
        answer = refuse(*core, refused);
    }
    add_security_headers(answer);
    co_return answer;
}

template <class Function>
http::route make_route(const shared_core& core, std::string method, std::string_view path,
                       Function answer_to)
{
    return {.method = std::move(method),
            .pattern = core->options.prefix + std::string{path},
            .answer = [core, answer_to](const http::request& message) {
                return answer_page(core, answer_to, message);
            }};
}

} // namespace

std::vector<http::route> console_routes(shared_core core)
{
    std::vector<http::route> all;
    for (const auto& file : console_files())
        all.push_back(make_route(core, "GET", fmt::format("/{}", file.path),
                                 [&file](api_core& shared, const http::request& message) {
                                     return show_file(shared, file, message);
                                 }));
    if (!core->options.prefix.empty())
        all.push_back(make_route(core, "GET", "", redirect_to_page));
    all.push_back(make_route(core, "POST", "/session", sign_in));
    all.push_back(make_route(core, "DELETE", "/session", sign_out));
    return all;
}

} // namespace pawl::admin::detail
