// Converts workflow events to stream events and back, and names stream events for connectors.
#include "pawl/connector.hpp"
#include "pawl/error.hpp"
#include "pawl/workflow_events.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <utility>

namespace pawl {

namespace {

namespace header = event_header;

constexpr int last_kind = static_cast<int>(event_kind::moved_by_command);

[[noreturn]] void fail(const std::string& problem)
{
    throw error(errc::decode_failed, "not an event of a workflow: " + problem);
}

const std::string& text_of(const stream_event& in, const char* name)
{
    const auto found = in.headers.find(name);
    if (found == in.headers.end())
        fail(std::string{"the header \""} + name + "\" is missing");
    return found->second;
}

std::string optional_text(const stream_event& in, const char* name)
{
    const auto found = in.headers.find(name);
    return found == in.headers.end() ? std::string{} : found->second;
}

template <class Number>
Number number_of(const stream_event& in, const char* name, Number low, Number high)
{
    const auto& text = text_of(in, name);
    Number value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size() || value < low || value > high)
        fail(fmt::format("the header \"{}\" = \"{}\" is not a number in [{}, {}]", name, text, low,
                         high));
    return value;
}

event_kind kind_of(const stream_event& in)
{
    for (int number = 1; number <= last_kind; ++number)
        if (to_string(static_cast<event_kind>(number)) == in.type)
            return static_cast<event_kind>(number);
    fail("unknown event type \"" + in.type + "\"");
}

} // namespace

stream_event to_stream_event(const event& event)
{
    stream_event converted;
    converted.id = to_string(event.run) + "/" + std::to_string(event.version);
    converted.key = event.foreign_id;
    converted.type = to_string(event.kind);
    converted.at = event.at;
    converted.headers = {{header::workflow, event.workflow},
                         {header::run, to_string(event.run)},
                         {header::foreign_id, event.foreign_id},
                         {header::version, std::to_string(event.version)},
                         {header::status, std::to_string(event.to)},
                         {header::previous_status, std::to_string(event.from)},
                         {header::state, std::to_string(static_cast<int>(event.state))}};
    if (event.attempt != 0)
        converted.headers[header::attempt] = std::to_string(event.attempt);
    if (!event.error.empty())
        converted.headers[header::error] = event.error;
    if (!event.requested_by.empty())
        converted.headers[header::requested_by] = event.requested_by;
    return converted;
}

event to_workflow_event(const stream_event& in)
{
    using int_range = std::numeric_limits<int>;
    event converted;
    const auto run = parse_run_id(text_of(in, header::run));
    if (!run)
        fail(std::string{"the header \""} + header::run + "\" is not a run id");
    converted.kind = kind_of(in);
    converted.run = *run;
    converted.workflow = text_of(in, header::workflow);
    converted.foreign_id = text_of(in, header::foreign_id);
    converted.version =
        number_of<std::uint64_t>(in, header::version, 1, std::numeric_limits<std::uint64_t>::max());
    converted.from = number_of(in, header::previous_status, int_range::min(), int_range::max());
    converted.to = number_of(in, header::status, int_range::min(), int_range::max());
    converted.state =
        static_cast<run_state>(number_of(in, header::state, static_cast<int>(run_state::initiated),
                                         static_cast<int>(run_state::requested_data_deleted)));
    if (in.headers.contains(header::attempt))
        converted.attempt = number_of(in, header::attempt, 0, int_range::max());
    converted.error = optional_text(in, header::error);
    converted.requested_by = optional_text(in, header::requested_by);
    converted.at = in.at;
    return converted;
}

namespace {

class topic_source final : public event_source {
public:
    topic_source(std::shared_ptr<event_streamer> streamer, std::string topic, subscribe_from from)
        : streamer_(std::move(streamer)), topic_(std::move(topic)), from_(from)
    {
    }

    boost::asio::awaitable<std::unique_ptr<event_receiver>> open(std::string consumer) override
    {
        return streamer_->subscribe(topic_, std::move(consumer), from_);
    }

private:
    const std::shared_ptr<event_streamer> streamer_;
    const std::string topic_;
    const subscribe_from from_;
};

} // namespace

std::shared_ptr<event_source> from_topic(std::shared_ptr<event_streamer> streamer,
                                         std::string topic, subscribe_from from)
{
    if (!streamer)
        throw definition_error("from_topic: the streamer must not be null");
    if (topic.empty())
        throw definition_error("from_topic: the topic needs a name");
    return std::make_shared<topic_source>(std::move(streamer), std::move(topic), from);
}

namespace detail {

/// Stored within keys: never change. The first character tells ids from positions.
std::string event_name(const stream_event& event)
{
    return event.id.empty() ? "#" + std::to_string(event.position) : "=" + event.id;
}

std::string connector_key(std::string_view connector, const stream_event& event,
                          std::string_view operation)
{
    const auto name = event_name(event);
    std::string key{connector};
    key += "/" + std::to_string(name.size()) + name;
    if (!operation.empty()) {
        key += "/";
        key += operation;
    }
    return key;
}

} // namespace detail

} // namespace pawl
