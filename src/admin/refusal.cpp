#include "admin/refusal.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace pawl::admin::detail {

std::string_view name_of(errc code) noexcept
{
    switch (code) {
    case errc::already_running:
        return "already_running";
    case errc::already_ran:
        return "already_ran";
    case errc::not_found:
        return "not_found";
    case errc::already_finished:
        return "already_finished";
    case errc::finished_in_other_status:
        return "finished_in_other_status";
    case errc::already_paused:
        return "already_paused";
    case errc::not_paused:
        return "not_paused";
    case errc::not_finished:
        return "not_finished";
    case errc::not_failing:
        return "not_failing";
    case errc::no_such_callback:
        return "no_such_callback";
    case errc::callback_failed:
        return "callback_failed";
    case errc::expired:
        return "expired";
    case errc::invalid_status:
        return "invalid_status";
    case errc::invalid_argument:
        return "invalid_argument";
    case errc::too_large:
        return "too_large";
    case errc::encode_failed:
        return "encode_failed";
    case errc::decode_failed:
        return "decode_failed";
    case errc::not_running:
        return "not_running";
    case errc::unhandled_status:
        return "unhandled_status";
    case errc::overloaded:
        return "overloaded";
    case errc::conflict:
        return "conflict";
    case errc::fenced:
        return "fenced";
    case errc::store_unavailable:
        return "store_unavailable";
    case errc::store_locked:
        return "store_locked";
    case errc::store_read_only:
        return "store_read_only";
    case errc::store_full:
        return "store_full";
    case errc::store_corrupt:
        return "store_corrupt";
    case errc::store_version_unsupported:
        return "store_version_unsupported";
    case errc::store_access_denied:
        return "store_access_denied";
    case errc::store_flush_failed:
        return "store_flush_failed";
    case errc::stalled:
        return "stalled";
    case errc::program_too_old:
        return "program_too_old";
    case errc::status_relabeled:
        return "status_relabeled";
    case errc::called_by_handler:
        return "called_by_handler";
    case errc::inbox_full:
        return "inbox_full";
    case errc::missing_workflow:
        return "missing_workflow";
    case errc::broker_unavailable:
        return "broker_unavailable";
    case errc::unexpected_exception:
        return "unexpected_exception";
    }
    return "unknown";
}

int status_of(errc code) noexcept
{
    switch (code) {
    case errc::not_found:
        return 404;
    case errc::already_running:
    case errc::already_ran:
    case errc::already_finished:
    case errc::finished_in_other_status:
    case errc::already_paused:
    case errc::not_paused:
    case errc::not_finished:
    case errc::not_failing:
    case errc::callback_failed:
    case errc::expired:
    case errc::conflict:
    case errc::inbox_full:
    case errc::missing_workflow:
        return 409;
    case errc::too_large:
        return 413;
    case errc::no_such_callback:
    case errc::invalid_status:
    case errc::invalid_argument:
    case errc::encode_failed:
    case errc::decode_failed:
        return 422;
    case errc::not_running:
    case errc::overloaded:
    case errc::fenced:
    case errc::stalled:
    case errc::store_unavailable:
    case errc::store_locked:
    case errc::store_full:
    case errc::store_flush_failed:
    case errc::broker_unavailable:
        return 503;
    default:
        return 500;
    }
}

http::response make_problem(int status, std::string_view code, std::string_view detail)
{
    namespace json = boost::json;
    auto answer = http::problem(status, detail);
    auto body = json::parse(answer.body).as_object();
    body["code"] = json::string_view{code.data(), code.size()};
    answer.body = json::serialize(body) + "\n";
    if (status == 503 || status == 429)
        answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

http::response make_problem(const system_error& failure, bool is_conditional)
{
    if (failure.code().category() != pawl_category())
        return make_problem(500, "internal", "The request failed; the log of the server says why.");
    const auto code = static_cast<errc>(failure.code().value());
    const auto* const detailed = dynamic_cast<const error*>(&failure);
    auto text = failure.code().message();
    if (detailed != nullptr && !detailed->detail().empty())
        text = detailed->detail() + ": " + text;
    const bool is_unmatched = is_conditional && code == errc::conflict; // RFC 9110, section 13.1.1
    return make_problem(is_unmatched ? 412 : status_of(code), name_of(code), text);
}

} // namespace pawl::admin::detail
