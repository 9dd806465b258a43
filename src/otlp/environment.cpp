#include "http/text.hpp"
#include "http/url.hpp"
#include "pawl/error.hpp"
#include "pawl/otlp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace pawl {

namespace {

constexpr std::size_t max_spans = 1'000'000;
constexpr std::int64_t max_milliseconds = 86'400'000;

class variables {
public:
    explicit variables(environment_reader read) : read_(std::move(read)) {}

    std::optional<std::string> find(const std::string& name) const
    {
        auto value = read_(name);
        if (value && value->empty())
            value.reset();
        return value;
    }

    /// Calls `use` with the name and the value of the variable, if it is set.
    template <class Use>
    bool use(const std::string& name, Use use) const
    {
        const auto value = find(name);
        if (value)
            use(name, *value);
        return value.has_value();
    }

    /// Of a variable for all signals and one for traces, the second counts.
    template <class Use>
    bool use_either(std::string_view name, Use function) const
    {
        const auto traces = fmt::format("OTEL_EXPORTER_OTLP_TRACES_{}", name);
        return use(traces, function) || use(fmt::format("OTEL_EXPORTER_OTLP_{}", name), function);
    }

private:
    environment_reader read_;
};

[[noreturn]] void refuse(const std::string& name, const std::string& value,
                         std::string_view accepted)
{
    throw definition_error(
        fmt::format("the variable {} is \"{}\"; it must be {}", name, value, accepted));
}

/// The names of settings are shown, their values may be secrets.
[[noreturn]] void refuse_list(const std::string& name, std::string_view problem)
{
    throw definition_error(fmt::format(
        "the variable {} {}; it must be of the form name=value,name=value, percent-encoded", name,
        problem));
}

std::int64_t read_whole(const std::string& name, const std::string& value, std::int64_t least,
                        std::int64_t most)
{
    std::int64_t number = 0;
    const auto* const end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, number);
    if (result.ec != std::errc{} || result.ptr != end || number < least || number > most)
        refuse(name, value, fmt::format("a whole number from {} to {}", least, most));
    return number;
}

std::string_view trimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

using pairs = std::vector<std::pair<std::string, std::string>>;

/// "name=value,name=value", percent-encoded. Empty entries are ignored, as in a list that ends with
/// a comma.
pairs read_list(const std::string& name, std::string_view text)
{
    pairs list;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto comma = text.find(',');
        const auto entry = trimmed(text.substr(0, comma));
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
        if (entry.empty())
            continue;
        const auto equals = entry.find('=');
        if (equals == std::string_view::npos)
            refuse_list(name, fmt::format("has no \"=\" in entry {}", number));
        auto key = http::detail::percent_decode(trimmed(entry.substr(0, equals)));
        auto value = http::detail::percent_decode(trimmed(entry.substr(equals + 1)));
        if (!key || key->empty() || !value)
            refuse_list(name, fmt::format("cannot be decoded in entry {}", number));
        list.emplace_back(std::move(*key), std::move(*value));
    }
    return list;
}

std::string read_url(const std::string& name, const std::string& value)
{
    if (!http::detail::parse_url(value))
        refuse(name, value,
               "of the form http://HOST[:PORT][/PATH], the same with https, or unix:SOCKET");
    return value;
}

void read_endpoint(const variables& given, otlp_settings& settings)
{
    auto& endpoint = settings.exporter.endpoint;
    const bool has_traces =
        given.use("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                  [&](const auto& name, const auto& value) { endpoint = read_url(name, value); });
    if (has_traces ||
        given.use("OTEL_EXPORTER_OTLP_ENDPOINT", [&](const auto& name, const auto& value) {
            endpoint = read_url(name, value);
            if (endpoint.starts_with("unix:"))
                return;
            if (endpoint.ends_with('/'))
                endpoint.pop_back();
            endpoint += "/v1/traces";
        }))
        settings.has_endpoint = true;
}

void read_exporter(const variables& given, otlp_options& exporter)
{
    given.use_either("HEADERS", [&](const auto& name, const auto& value) {
        exporter.headers = read_list(name, value);
        for (const auto& [header, text] : exporter.headers)
            if (!http::detail::is_token(header) || !http::detail::is_field_value(text))
                refuse_list(name, "has an entry that is not a header");
    });
    given.use_either("PROTOCOL", [](const auto& name, const auto& value) {
        if (value != "http/json" && value != "http/protobuf")
            refuse(name, value, "http/json or http/protobuf (both send JSON)");
    });
    given.use_either("TIMEOUT", [&](const auto& name, const auto& value) {
        exporter.timeout = std::chrono::milliseconds{read_whole(name, value, 1, max_milliseconds)};
    });
    given.use("OTEL_BSP_SCHEDULE_DELAY", [&](const auto& name, const auto& value) {
        exporter.schedule_delay =
            std::chrono::milliseconds{read_whole(name, value, 0, max_milliseconds)};
    });
    given.use("OTEL_BSP_MAX_QUEUE_SIZE", [&](const auto& name, const auto& value) {
        exporter.max_queue_spans = static_cast<std::size_t>(read_whole(name, value, 1, max_spans));
    });
    const bool has_batch =
        given.use("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", [&](const auto& name, const auto& value) {
            exporter.max_batch_spans = static_cast<std::size_t>(
                read_whole(name, value, 1, static_cast<std::int64_t>(exporter.max_queue_spans)));
        });
    if (!has_batch) // the default is not a value that somebody has chosen
        exporter.max_batch_spans = std::min(exporter.max_batch_spans, exporter.max_queue_spans);
}

void read_resource(const variables& given, otlp_options& exporter)
{
    given.use("OTEL_RESOURCE_ATTRIBUTES", [&](const auto& name, const auto& value) {
        for (auto& [key, text] : read_list(name, value)) {
            if (key == "service.name")
                exporter.service_name = text;
            else
                exporter.resource_attributes.emplace_back(key, text);
        }
    });
    given.use("OTEL_SERVICE_NAME",
              [&](const auto&, const auto& value) { exporter.service_name = value; });
}

void read_sampler(const variables& given, trace_policy& policy)
{
    given.use("OTEL_TRACES_SAMPLER", [&](const auto& name, const auto& value) {
        constexpr std::string_view prefix = "parentbased_";
        policy.parent_based = value.starts_with(prefix);
        const auto kind = value.substr(policy.parent_based ? prefix.size() : 0);
        if (kind == "always_on")
            policy.sampler = trace_sampler::always_on;
        else if (kind == "always_off")
            policy.sampler = trace_sampler::always_off;
        else if (kind == "traceidratio")
            policy.sampler = trace_sampler::ratio;
        else
            refuse(name, value,
                   "always_on, always_off, traceidratio, parentbased_always_on, "
                   "parentbased_always_off or parentbased_traceidratio");
    });
    if (policy.sampler != trace_sampler::ratio)
        return; // the argument belongs to a sampler that has one
    given.use("OTEL_TRACES_SAMPLER_ARG", [&](const auto& name, const auto& value) {
        const auto* const end = value.data() + value.size();
        const auto result = std::from_chars(value.data(), end, policy.ratio);
        if (result.ec != std::errc{} || result.ptr != end ||
            !(policy.ratio >= 0 && policy.ratio <= 1))
            refuse(name, value, "a number from 0 to 1");
    });
}

std::optional<std::string> read_process_variable(const std::string& name)
{
    const char* const value = std::getenv(name.c_str());
    return value ? std::optional<std::string>{value} : std::nullopt;
}

} // namespace

otlp_settings read_otlp_environment(otlp_settings settings, environment_reader variable)
{
    const variables given{variable ? std::move(variable) : read_process_variable};
    given.use("OTEL_SDK_DISABLED", [&](const auto& name, const auto& value) {
        const auto lower = http::detail::to_lower(value);
        if (lower != "true" && lower != "false")
            refuse(name, value, "true or false");
        settings.is_disabled = lower == "true";
    });
    read_endpoint(given, settings);
    read_exporter(given, settings.exporter);
    read_resource(given, settings.exporter);
    read_sampler(given, settings.policy);
    return settings;
}

} // namespace pawl
