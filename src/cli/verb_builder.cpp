#include "cli/verb_builder.hpp"

#include "cli/arguments.hpp"
#include "pawl/codec.hpp"

#include <boost/json/object.hpp>

namespace pawl::cli {

namespace json = boost::json;

namespace {

/// In a deque-like list, because options keep references to the texts.
std::string& slot(std::vector<std::pair<std::string, std::string>>& list, const char* name)
{
    list.emplace_back(name, "");
    return list.back().second;
}

} // namespace

CLI::App* verb_builder::add(CLI::App& group, const char* name, const char* about)
{
    auto* const verb = group.add_subcommand(name, about);
    verb->fallthrough();
    return verb;
}

verb_builder::texts& verb_builder::texts_of()
{
    texts_.push_back(std::make_unique<texts>());
    auto& values = *texts_.back();
    for (auto* const list : {&values.query, &values.path, &values.body, &values.documents})
        list->reserve(32); // options refer to the elements
    return values;
}

void verb_builder::add_path(CLI::App& verb, texts& values, const char* name, const char* about)
{
    verb.add_option(name, slot(values.path, name), about)->required();
}

void verb_builder::add_query(CLI::App& verb, texts& values, const char* option, const char* name,
                             const char* about)
{
    verb.add_option(option, slot(values.query, name), about);
}

void verb_builder::add_body(CLI::App& verb, texts& values, const char* option, const char* name,
                            const char* about, bool required)
{
    verb.add_option(option, slot(values.body, name), about)->required(required);
}

void verb_builder::add_document(CLI::App& verb, texts& values, const char* option, const char* name,
                                const char* about, bool required)
{
    verb.add_option(option, slot(values.documents, name), about)->required(required);
}

void verb_builder::send(CLI::App& verb, texts& values, std::string method, std::string pattern,
                        layout shown)
{
    verb.callback([this, &values, method = std::move(method), pattern = std::move(pattern),
                   shown = std::move(shown)] {
        auto& request = wanted_.request;
        request.method = method;
        request.target = pattern;
        for (const auto& [name, value] : values.path) {
            const auto place = request.target.find("{" + name + "}");
            request.target.replace(place, name.size() + 2, percent_encode(value));
        }
        char separator = '?';
        for (const auto& [name, value] : values.query)
            if (!value.empty()) {
                request.target += separator + name + "=" + percent_encode(value);
                separator = '&';
            }
        json::object body;
        for (const auto& [name, value] : values.body)
            if (!value.empty())
                body[name] = value;
        for (const auto& [name, value] : values.documents)
            if (!value.empty())
                body[name] = parse_json_argument(name, value);
        if (values.is_dry_run)
            body["dry_run"] = true;
        if (method != "GET")
            pawl::detail::write_value(body, request.body);
        if (!values.key.empty())
            request.headers.emplace_back("Idempotency-Key", values.key);
        if (!values.version.empty())
            request.headers.emplace_back("If-Match", '"' + values.version + '"');
        wanted_.shown = shown;
    });
}

} // namespace pawl::cli
