// The description of the API, held against its routes and its answers.
#include "admin/openapi.hpp"
#include "admin/api_core.hpp"
#include "support.hpp"

#include <set>

BOOST_AUTO_TEST_SUITE(admin_openapi)

using namespace admin_test;
using names = std::set<std::string>;

namespace {

json::value description()
{
    return json::parse(pawl::admin::detail::openapi_document);
}

void check_equal(const names& described, const names& real)
{
    for (const auto& one : real)
        BOOST_TEST(described.contains(one), one << " is not described");
    for (const auto& one : described)
        BOOST_TEST(real.contains(one), one << " does not exist");
}

std::string upper(std::string text)
{
    for (char& c : text)
        c = static_cast<char>(c - 'a' + 'A');
    return text;
}

/// "GET /runs viewer"
names described_operations(const json::value& document)
{
    names all;
    for (const auto& path : document.at("paths").as_object())
        for (const auto& operation : path.value().as_object())
            if (operation.key() != "parameters")
                all.insert(upper(operation.key()) + " " + std::string{path.key()} + " " +
                           std::string{operation.value().at("tags").at(0).as_string()});
    return all;
}

names captures_of(std::string_view pattern)
{
    names all;
    for (auto open = pattern.find('{'); open != pattern.npos; open = pattern.find('{', open + 1))
        all.emplace(pattern.substr(open + 1, pattern.find('}', open) - open - 1));
    return all;
}

/// Each "$ref" leads somewhere.
void check_references(const json::value& document, const json::value& part)
{
    if (const auto* list = part.if_array())
        for (const auto& one : *list)
            check_references(document, one);
    const auto* object = part.if_object();
    if (object == nullptr)
        return;
    for (const auto& member : *object) {
        check_references(document, member.value());
        if (member.key() != "$ref")
            continue;
        const std::string target{member.value().as_string()};
        json::error_code error;
        document.find_pointer(target.substr(1), error);
        BOOST_TEST(!error, target);
    }
}

const json::value& resolve(const json::value& document, const json::value& schema)
{
    const auto* reference = schema.is_object() ? schema.as_object().if_contains("$ref") : nullptr;
    if (reference == nullptr)
        return schema;
    return document.at_pointer(std::string{reference->as_string()}.substr(1));
}

/// Each member of an answer is described.
void check_members(const json::value& document, const json::value& found,
                   const json::value& schema_or_reference, const std::string& where)
{
    const auto& schema = resolve(document, schema_or_reference);
    if (!schema.is_object())
        return;
    if (const auto* list = found.if_array()) {
        if (const auto* items = schema.as_object().if_contains("items"))
            for (const auto& one : *list)
                check_members(document, one, *items, where + "[]");
        return;
    }
    const auto* properties = schema.as_object().if_contains("properties");
    if (!found.is_object() || properties == nullptr)
        return;
    for (const auto& member : found.as_object()) {
        const auto* described = properties->as_object().if_contains(member.key());
        BOOST_TEST(described != nullptr,
                   where << "." << std::string{member.key()} << " is not described");
        if (described != nullptr)
            check_members(document, member.value(), *described,
                          where + "." + std::string{member.key()});
    }
}

void check_answer(const json::value& document, world& w, const std::string& path,
                  const std::string& target)
{
    const auto got = w.get(target);
    BOOST_TEST(got.status == 200, target << ": " << got.raw.body);
    const auto& schema = document.at("paths")
                             .at(path)
                             .at("get")
                             .at("responses")
                             .at("200")
                             .at("content")
                             .at("application/json");
    check_members(document, got.body, schema.at("schema"), path);
}

} // namespace

BOOST_AUTO_TEST_CASE(description_and_routes_agree)
{
    const auto document = description();
    names real;
    for (const auto& route : pawl::admin::detail::api_routes())
        real.insert(std::string{route.method} + " " + std::string{route.pattern} + " " +
                    std::string{to_string(pawl::admin::detail::role_for(route.needed))});
    check_equal(described_operations(document), real);
    check_references(document, document);
    for (const auto& path : document.at("paths").as_object()) {
        names parameters;
        if (const auto* list = path.value().as_object().if_contains("parameters"))
            for (const auto& parameter : list->as_array())
                parameters.emplace(parameter.at("name").as_string());
        check_equal(parameters, captures_of({path.key().data(), path.key().size()}));
    }
}

BOOST_AUTO_TEST_CASE(each_member_of_an_answer_is_described)
{
    const auto document = description();
    world w;
    const auto run = to_string(w.bench().trigger("a", {"Ada", 1.5}));
    w.bench().trigger("b", {});
    const auto bulk = w.send("POST", "/bulk/resume", "{}").text("/id");
    w.bench().advance(5s);
    for (const char* path : {"/me", "/status", "/overview", "/workflows", "/runs", "/schedules",
                             "/connectors", "/engines", "/dead-letters", "/bulk"})
        check_answer(document, w, path, path);
    check_answer(document, w, "/workflows/{workflow}", "/workflows/orders");
    check_answer(document, w, "/bulk/{run}", "/bulk/" + bulk);
    check_answer(document, w, "/runs/{run}", "/runs/" + run);
    check_answer(document, w, "/runs/{run}/history", "/runs/" + run + "/history");
    check_answer(document, w, "/runs/{run}/object", "/runs/" + run + "/object");
    check_answer(document, w, "/runs/{run}/messages", "/runs/" + run + "/messages");
}

BOOST_AUTO_TEST_CASE(an_undescribed_query_parameter_is_refused)
{
    const auto document = description();
    world w;
    for (const auto& path : document.at("paths").as_object()) {
        const auto* operation = path.value().as_object().if_contains("get");
        if (operation == nullptr || path.key() == "/stream" ||
            path.key().find("{") != json::string_view::npos)
            continue;
        const std::string target{path.key()};
        const auto got = w.get(target + "?wrong=1");
        BOOST_TEST(got.status == 400, target << ": " << got.raw.body);
        BOOST_TEST(got.text("/code") == "invalid_argument");
    }
}

BOOST_AUTO_TEST_SUITE_END()
