#include "pawl/http/message.hpp"

#include "http/text.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace pawl::http {

std::string_view request::header(std::string_view name) const
{
    const auto at = headers.find(name);
    return at == headers.end() ? std::string_view{} : std::string_view{at->second};
}

response problem(int status, std::string_view detail)
{
    namespace json = boost::json;
    const auto title = detail::reason_phrase(status);
    json::object body;
    body["status"] = status;
    body["title"] = json::string_view{title.data(), title.size()};
    body["detail"] = json::string_view{detail.data(), detail.size()};

    response answer;
    answer.status = status;
    answer.body = json::serialize(body);
    answer.content_type = "application/problem+json";
    return answer;
}

} // namespace pawl::http
