// The variables of OpenTelemetry: what they set, and what is said of a bad value.
#include "pawl/error.hpp"
#include "pawl/otlp.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

BOOST_AUTO_TEST_SUITE(environment)

namespace {

using namespace std::chrono_literals;
using variables = std::map<std::string, std::string>;

pawl::otlp_settings read(variables given)
{
    return pawl::read_otlp_environment(
        {}, [given = std::move(given)](const std::string& name) -> std::optional<std::string> {
            const auto found = given.find(name);
            return found == given.end() ? std::nullopt : std::optional{found->second};
        });
}

/// What is said of a bad value.
std::string refusal_of(const std::string& name, const std::string& value)
{
    try {
        read({{name, value}, {"OTEL_TRACES_SAMPLER", "traceidratio"}});
    } catch (const pawl::definition_error& error) {
        return error.what();
    }
    return "accepted";
}

} // namespace

BOOST_AUTO_TEST_CASE(without_variables_nothing_changes)
{
    const auto settings = read({{"OTEL_SERVICE_NAME", ""}});
    BOOST_TEST(!settings.is_disabled);
    BOOST_TEST(!settings.has_endpoint);
    BOOST_TEST(settings.exporter.endpoint == "http://localhost:4318/v1/traces");
    BOOST_TEST(settings.exporter.service_name == "unknown_service");
    BOOST_TEST(settings.policy.parent_based);
}

BOOST_AUTO_TEST_CASE(each_variable_sets_its_option)
{
    const auto settings = read({
        {"OTEL_SDK_DISABLED", "True"},
        {"OTEL_SERVICE_NAME", "orders"},
        {"OTEL_RESOURCE_ATTRIBUTES", "service.name=other, deployment.environment=test%2Cone,a=b,"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:1234/base/"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "2000"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "100"},
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"},
        {"OTEL_BSP_SCHEDULE_DELAY", "250"},
        {"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"},
        {"OTEL_TRACES_SAMPLER_ARG", "0.25"},
    });
    BOOST_TEST(settings.is_disabled);
    BOOST_TEST(settings.has_endpoint);
    const auto& exporter = settings.exporter;
    BOOST_TEST(exporter.service_name == "orders");
    BOOST_TEST_REQUIRE(exporter.resource_attributes.size() == 2u);
    BOOST_TEST(exporter.resource_attributes[0].second == "test,one");
    BOOST_TEST(exporter.endpoint == "http://collector:1234/base/v1/traces");
    BOOST_TEST_REQUIRE(exporter.headers.size() == 1u);
    BOOST_TEST(exporter.headers[0].second == "Bearer x");
    BOOST_TEST((exporter.timeout == 2s));
    BOOST_TEST(exporter.max_queue_spans == 100u);
    BOOST_TEST(exporter.max_batch_spans == 10u);
    BOOST_TEST((exporter.schedule_delay == 250ms));
    BOOST_TEST((settings.policy.sampler == pawl::trace_sampler::ratio));
    BOOST_TEST(settings.policy.parent_based);
    BOOST_TEST(settings.policy.ratio == 0.25);
}

BOOST_AUTO_TEST_CASE(a_variable_for_traces_comes_first)
{
    const auto settings = read({
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://b/own/path"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "x=1"},
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "y=2"},
    });
    BOOST_TEST(settings.exporter.endpoint == "https://b/own/path");
    BOOST_TEST(settings.exporter.headers[0].first == "y");
}

BOOST_AUTO_TEST_CASE(each_sampler_has_its_name)
{
    using enum pawl::trace_sampler;
    const std::vector<std::tuple<std::string, pawl::trace_sampler, bool>> samplers{
        {"always_on", always_on, false},
        {"always_off", always_off, false},
        {"traceidratio", ratio, false},
        {"parentbased_always_on", always_on, true},
        {"parentbased_always_off", always_off, true},
        {"parentbased_traceidratio", ratio, true},
    };
    for (const auto& [name, kind, parent_based] : samplers) {
        const auto policy = read({{"OTEL_TRACES_SAMPLER", name}}).policy;
        BOOST_TEST((policy.sampler == kind), name);
        BOOST_TEST(policy.parent_based == parent_based, name);
    }
    // The argument of a sampler that has none is not read.
    read({{"OTEL_TRACES_SAMPLER", "always_on"}, {"OTEL_TRACES_SAMPLER_ARG", "x"}});
}

BOOST_AUTO_TEST_CASE(a_small_queue_has_small_batches)
{
    BOOST_TEST(read({{"OTEL_BSP_MAX_QUEUE_SIZE", "5"}}).exporter.max_batch_spans == 5u);
}

BOOST_AUTO_TEST_CASE(a_bad_value_is_named_with_its_range)
{
    const std::vector<std::array<std::string, 3>> wrong{
        {"OTEL_SDK_DISABLED", "yes", "true or false"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://HOST"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://a", "http://HOST"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/json"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "a whole number from 1 to 86400000"},
        {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", "a whole number from 1 to 86400000"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "-1", "a whole number from 1 to 1000000"},
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049", "a whole number from 1 to 2048"},
        {"OTEL_BSP_SCHEDULE_DELAY", "", "accepted"},
        {"OTEL_BSP_SCHEDULE_DELAY", "1e3", "a whole number from 0 to 86400000"},
        {"OTEL_TRACES_SAMPLER_ARG", "1.01", "a number from 0 to 1"},
        {"OTEL_TRACES_SAMPLER_ARG", "nan", "a number from 0 to 1"},
    };
    for (const auto& [name, value, accepted] : wrong) {
        const auto text = refusal_of(name, value);
        BOOST_TEST(text.find(accepted) != text.npos, name << ": " << text);
        if (accepted != "accepted") {
            BOOST_TEST(text.find(name) != text.npos, text);
            BOOST_TEST(text.find("\"" + value + "\"") != text.npos, text);
        }
    }
    BOOST_CHECK_THROW(read({{"OTEL_TRACES_SAMPLER", "jaeger_remote"}}), pawl::definition_error);
}

BOOST_AUTO_TEST_CASE(a_bad_list_does_not_show_its_values)
{
    for (const char* name : {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"})
        for (const char* value : {"secret", "a=1,secret", "=secret", "a=%zzsecret"}) {
            const auto text = refusal_of(name, value);
            BOOST_TEST(text.find(name) != text.npos, text);
            BOOST_TEST(text.find("secret") == text.npos, text);
        }
    BOOST_TEST(refusal_of("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret").find("not a header") !=
               std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
