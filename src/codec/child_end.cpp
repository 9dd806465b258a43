#include "codec/child_end.hpp"

#include "pawl/child.hpp"

#include <boost/describe/class.hpp>

#include <cstddef>
#include <utility>

namespace pawl::detail {

namespace {

/// Stored.
constexpr std::string_view key_prefix = "pawl.child/";

/// The first line of a payload. The texts, which need not be UTF-8, and the object follow it.
/// Stored format. Members may be added.
struct stored_head {
    std::string run;
    int status = 0;
    std::string state;
    std::uint64_t foreign_id_size = 0;
    std::uint64_t reason_size = 0;
    std::string workflow;
    std::uint32_t object_version = 1;
};
BOOST_DESCRIBE_STRUCT(stored_head, (),
                      (run, status, state, foreign_id_size, reason_size, workflow, object_version))

void write_head(const stored_head& head, std::string_view foreign_id, std::string_view reason,
                std::string& out)
{
    codec<stored_head>::encode(head, out);
    out += '\n';
    out += foreign_id;
    out += reason;
}

/// Removes the first line from `bytes`.
stored_head read_line(std::string_view& bytes)
{
    const auto end = bytes.find('\n');
    auto head = codec<stored_head>::decode(bytes.substr(0, end));
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    return head;
}

std::string_view take_text(std::string_view& bytes, std::uint64_t size)
{
    if (size > bytes.size())
        throw error(errc::decode_failed, "the end of a child names a text of " +
                                             std::to_string(size) + " bytes, but has only " +
                                             std::to_string(bytes.size()));
    const auto text = bytes.substr(0, static_cast<std::size_t>(size));
    bytes.remove_prefix(text.size());
    return text;
}

} // namespace

void write_child_end_head(const child_end_head& head, std::string& out)
{
    write_head({to_string(head.run),
                head.status,
                to_string(head.state),
                head.foreign_id.size(),
                head.reason.size(),
                {},
                1},
               head.foreign_id, head.reason, out);
}

child_end_head read_child_end_head(std::string_view& bytes)
{
    const auto stored = read_line(bytes);
    const auto run = parse_run_id(stored.run);
    const auto state = parse_run_state(stored.state);
    if (!run || !state)
        throw error(errc::decode_failed, "the end of a child names the run \"" + stored.run +
                                             "\" and the run state \"" + stored.state + "\"");
    std::string foreign_id{take_text(bytes, stored.foreign_id_size)};
    std::string reason{take_text(bytes, stored.reason_size)};
    return {*run, std::move(foreign_id), stored.status, *state, std::move(reason)};
}

std::string make_child_end(const record& child)
{
    std::string payload;
    write_head({to_string(child.id), child.status, to_string(child.state), child.foreign_id.size(),
                child.reason.size(), child.workflow, child.object_version},
               child.foreign_id, child.reason, payload);
    payload += child.object;
    return payload;
}

std::string child_end_key(const run_id& child)
{
    return std::string{key_prefix} + to_string(child);
}

bool is_child_end(const message& received)
{
    return received.kind == message_kind::callback && received.key.starts_with(key_prefix);
}

std::optional<child_end_parts> split_child_end(std::string_view payload)
{
    auto rest = payload;
    child_end_parts parts;
    try {
        auto head = read_line(rest);
        const auto run = parse_run_id(head.run);
        if (!run)
            return std::nullopt;
        take_text(rest, head.foreign_id_size);
        take_text(rest, head.reason_size);
        parts.run = *run;
        parts.workflow = std::move(head.workflow);
        parts.object_version = head.object_version;
    } catch (const error&) {
        return std::nullopt;
    }
    parts.head = payload.substr(0, payload.size() - rest.size());
    parts.object = rest;
    return parts;
}

} // namespace pawl::detail
