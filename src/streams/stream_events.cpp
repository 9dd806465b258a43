// A workflow's events as events of a stream, and the names by which connectors know theirs.
#include "pawl/connector.hpp"
#include "pawl/error.hpp"
#include "pawl/workflow_events.hpp"

#include <charconv>
#include <limits>
#include <utility>

namespace pawl {

namespace {

namespace header = event_header;

constexpr int last_kind = static_cast<int>(event_kind::attempt_begun);

[[noreturn]] void fail(const std::string& what)
{
    throw error(errc::decode_failed, "not an event of a workflow: " + what);
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
        fail(std::string{"the header \""} + name + "\" is no number of its range");
    return value;
}

event_kind kind_of(const stream_event& in)
{
    for (int number = 1; number <= last_kind; ++number)
        if (to_string(static_cast<event_kind>(number)) == in.type)
            return static_cast<event_kind>(number);
    fail("its type is no kind of a transition");
}

} // namespace

stream_event to_stream_event(const event& what)
{
    stream_event made;
    made.id = to_string(what.run) + "/" + std::to_string(what.version);
    made.key = what.foreign_id;
    made.type = to_string(what.kind);
    made.at = what.at;
    made.headers = {{header::workflow, what.workflow},
                    {header::run, to_string(what.run)},
                    {header::foreign_id, what.foreign_id},
                    {header::version, std::to_string(what.version)},
                    {header::status, std::to_string(what.to)},
                    {header::previous_status, std::to_string(what.from)},
                    {header::state, std::to_string(static_cast<int>(what.state))}};
    if (what.attempt != 0)
        made.headers[header::attempt] = std::to_string(what.attempt);
    if (!what.error.empty())
        made.headers[header::error] = what.error;
    if (!what.requested_by.empty())
        made.headers[header::requested_by] = what.requested_by;
    return made;
}

event to_workflow_event(const stream_event& what)
{
    using int_range = std::numeric_limits<int>;
    event made;
    const auto run = parse_run_id(text_of(what, header::run));
    if (!run)
        fail(std::string{"the header \""} + header::run + "\" is no id of a run");
    made.kind = kind_of(what);
    made.run = *run;
    made.workflow = text_of(what, header::workflow);
    made.foreign_id = text_of(what, header::foreign_id);
    made.version = number_of<std::uint64_t>(what, header::version, 1,
                                            std::numeric_limits<std::uint64_t>::max());
    made.from = number_of(what, header::previous_status, int_range::min(), int_range::max());
    made.to = number_of(what, header::status, int_range::min(), int_range::max());
    made.state = static_cast<run_state>(
        number_of(what, header::state, static_cast<int>(run_state::initiated),
                  static_cast<int>(run_state::requested_data_deleted)));
    if (what.headers.contains(header::attempt))
        made.attempt = number_of(what, header::attempt, 0, int_range::max());
    made.error = optional_text(what, header::error);
    made.requested_by = optional_text(what, header::requested_by);
    made.at = what.at;
    return made;
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

/// Stored, within keys: never change. Ids and positions cannot be taken for each other.
std::string event_name(const stream_event& what)
{
    return what.id.empty() ? "#" + std::to_string(what.position) : "=" + what.id;
}

std::string connector_key(std::string_view connector, const stream_event& event,
                          std::string_view what)
{
    const auto name = event_name(event);
    std::string key{connector};
    key += "/" + std::to_string(name.size()) + name;
    if (!what.empty()) {
        key += "/";
        key += what;
    }
    return key;
}

} // namespace detail

} // namespace pawl
