#include "stores/common/record_details.hpp"

#include "stores/common/varint.hpp"

#include "pawl/definition.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

namespace pawl::core {

namespace {

/// Version 2 added requested_by at the end. Version 3 added optional fields: pairs of tag and
/// value, in order of their tags. Version 4 added the id of the parent behind the version. Records
/// without the additions are written in the older version.
constexpr unsigned format_version = 4;

/// The tags of the optional fields. Stored: never change a number.
enum class tag : unsigned char {
    timeout_names = 1,   ///< a text for each deadline
    effect_versions = 2, ///< a number for each effect
    suspicion = 3,
    callback_retries = 4,
    scopes = 5, ///< the step's round, a round for each deadline, a handler for each effect
    parent = 6, ///< but its id
    cancels_children = 7,
    attributes = 8,
};

/// Minimum bytes of an element. They limit the counts that are accepted from the bytes.
constexpr std::size_t min_deadline = 3;
constexpr std::size_t min_effect = 3;
constexpr std::size_t min_retry = 3;
constexpr std::size_t min_attribute = 2;

// Before timeouts had names, a deadline had the index of its timeout. The names that replaced these
// indexes are still written as the index.

std::string name_at(int index)
{
    std::string name{unnamed_timeout};
    return index == 0 ? name : name + "-" + std::to_string(static_cast<std::int64_t>(index) + 1);
}

std::optional<int> index_of(std::string_view name)
{
    if (name == unnamed_timeout)
        return 0;
    constexpr int most = 9;
    for (int index = 1; index <= most && name.starts_with(unnamed_timeout); ++index)
        if (name == name_at(index))
            return index;
    return std::nullopt;
}

bool has_names(const record& run)
{
    return !std::ranges::all_of(
        run.deadlines, [](const deadline& armed) { return index_of(armed.timeout).has_value(); });
}

bool has_versions(const record& run)
{
    return std::ranges::any_of(run.effects, [](const effect& e) { return e.version != 1; });
}

bool has_scopes(const record& run)
{
    return run.round > 0 ||
           std::ranges::any_of(run.deadlines, [](const deadline& d) { return d.round > 0; }) ||
           std::ranges::any_of(run.effects, [](const effect& e) { return e.handler > 0; });
}

bool has_fields(const record& run)
{
    return has_names(run) || has_versions(run) || run.suspicion > 0 ||
           !run.callback_retries.empty() || has_scopes(run) || run.parent || run.cancels_children ||
           !run.attributes.empty();
}

unsigned version_of(const record& run)
{
    if (run.parent)
        return format_version;
    if (has_fields(run))
        return 3;
    return run.requested_by.empty() ? 1 : 2;
}

/// The number of the kind of the value, and the value; 0 if there is none.
void write_value(const std::optional<attribute_value>& value, binary_writer& out)
{
    if (!value) {
        out.byte(0);
        return;
    }
    out.byte(static_cast<unsigned>(kind_of(*value)));
    if (const auto* text = std::get_if<std::string>(&*value))
        out.text(*text);
    else if (const auto* integer = std::get_if<std::int64_t>(&*value))
        out.signed_number(*integer);
    else if (const auto* boolean = std::get_if<bool>(&*value))
        out.byte(*boolean ? 1 : 0);
    else
        out.time(std::get<time_point>(*value));
}

std::optional<attribute_value> read_value(binary_reader& in)
{
    const unsigned kind = in.byte();
    if (kind == 0)
        return std::nullopt;
    switch (static_cast<attribute_kind>(kind)) {
    case attribute_kind::text:
        return in.text();
    case attribute_kind::integer:
        return in.signed_number();
    case attribute_kind::boolean:
        return in.flag();
    case attribute_kind::time:
        return in.time();
    }
    in.fail("an attribute is of an unknown kind");
}

void write_fields(const record& run, binary_writer& out)
{
    if (has_names(run)) {
        out.byte(static_cast<unsigned>(tag::timeout_names));
        for (const deadline& armed : run.deadlines)
            out.text(armed.timeout);
    }
    if (has_versions(run)) {
        out.byte(static_cast<unsigned>(tag::effect_versions));
        for (const effect& entry : run.effects)
            out.number(entry.version);
    }
    if (run.suspicion > 0) {
        out.byte(static_cast<unsigned>(tag::suspicion));
        out.number(run.suspicion);
    }
    if (!run.callback_retries.empty()) {
        out.byte(static_cast<unsigned>(tag::callback_retries));
        out.number(run.callback_retries.size());
        for (const callback_retry& retry : run.callback_retries) {
            out.number(retry.message);
            out.signed_number(retry.attempt);
            out.time(retry.not_before);
        }
    }
    if (has_scopes(run)) {
        out.byte(static_cast<unsigned>(tag::scopes));
        out.number(run.round);
        for (const deadline& armed : run.deadlines)
            out.number(armed.round);
        for (const effect& entry : run.effects)
            out.number(entry.handler);
    }
    if (run.parent) {
        out.byte(static_cast<unsigned>(tag::parent));
        out.text(run.parent->callback);
        out.byte(static_cast<unsigned>(run.parent->on_cancel));
        out.byte(run.parent->is_notified ? 1 : 0);
    }
    if (run.cancels_children) {
        out.byte(static_cast<unsigned>(tag::cancels_children));
        out.byte(1);
    }
    if (!run.attributes.empty()) {
        out.byte(static_cast<unsigned>(tag::attributes));
        out.number(run.attributes.size());
        for (const stored_attribute& entry : run.attributes) {
            out.text(entry.name);
            write_value(entry.value, out);
        }
    }
}

std::uint32_t read_count(binary_reader& in)
{
    const auto value = in.number();
    if (value > std::numeric_limits<std::uint32_t>::max())
        in.fail("a count in them is too large");
    return static_cast<std::uint32_t>(value);
}

void read_scopes(binary_reader& in, record& run)
{
    run.round = read_count(in);
    for (deadline& armed : run.deadlines)
        armed.round = read_count(in);
    for (effect& entry : run.effects)
        entry.handler = in.number();
}

void read_parent(binary_reader& in, record& run)
{
    if (!run.parent)
        in.fail("they lack the id of the parent");
    run.parent->callback = in.text();
    const unsigned on_cancel = in.byte();
    if (on_cancel > static_cast<unsigned>(parent_cancel::cancel))
        in.fail("there is no such value of parent_cancel");
    run.parent->on_cancel = static_cast<parent_cancel>(on_cancel);
    run.parent->is_notified = in.flag();
}

void read_callback_retries(binary_reader& in, record& run)
{
    run.callback_retries.resize(in.count(min_retry));
    for (callback_retry& retry : run.callback_retries) {
        retry.message = in.number();
        retry.attempt = in.small_number();
        retry.not_before = in.time();
    }
}

void read_attributes(binary_reader& in, record& run)
{
    run.attributes.resize(in.count(min_attribute));
    for (stored_attribute& entry : run.attributes) {
        entry.name = in.text();
        entry.value = read_value(in);
    }
}

void read_fields(binary_reader& in, record& run)
{
    unsigned last = 0;
    while (in.left() != 0) {
        const unsigned field = in.byte();
        if (field <= last)
            in.fail("their fields are not in order");
        last = field;
        switch (static_cast<tag>(field)) {
        case tag::timeout_names:
            for (deadline& armed : run.deadlines)
                armed.timeout = in.text();
            break;
        case tag::effect_versions:
            for (effect& entry : run.effects)
                entry.version = in.schema_version();
            break;
        case tag::suspicion:
            run.suspicion = read_count(in);
            break;
        case tag::callback_retries:
            read_callback_retries(in, run);
            break;
        case tag::scopes:
            read_scopes(in, run);
            break;
        case tag::parent:
            read_parent(in, run);
            break;
        case tag::cancels_children:
            run.cancels_children = in.flag();
            break;
        case tag::attributes:
            read_attributes(in, run);
            break;
        default:
            in.fail("they have a field that this Pawl does not know");
        }
    }
}

} // namespace

std::string encode_details(const record& run)
{
    std::string bytes;
    if (run.deadlines.empty() && run.effects.empty() && run.pause == pause_kind::none &&
        run.auto_resumes == 0 && !run.resume_at && run.requested_by.empty() && !has_fields(run))
        return bytes;
    binary_writer out{bytes};
    const auto version = version_of(run);
    out.byte(version);
    if (run.parent)
        for (const auto byte : run.parent->run.bytes)
            out.byte(byte);
    out.byte(static_cast<unsigned>(run.pause));
    out.signed_number(run.auto_resumes);
    out.byte(run.resume_at ? 1 : 0);
    if (run.resume_at)
        out.time(*run.resume_at);
    out.number(run.deadlines.size());
    for (const deadline& armed : run.deadlines) {
        out.signed_number(index_of(armed.timeout).value_or(0));
        out.time(armed.at);
        out.signed_number(armed.attempt);
    }
    out.number(run.effects.size());
    for (const effect& entry : run.effects) {
        out.text(entry.name);
        out.text(entry.value);
        out.byte(entry.for_run ? 1 : 0);
    }
    if (version >= 2)
        out.text(run.requested_by);
    if (version >= 3)
        write_fields(run, out);
    return bytes;
}

void decode_details(std::string_view bytes, record& run)
{
    run.deadlines.clear();
    run.effects.clear();
    run.pause = pause_kind::none;
    run.auto_resumes = 0;
    run.resume_at.reset();
    run.requested_by.clear();
    run.round = 0;
    run.suspicion = 0;
    run.callback_retries.clear();
    run.parent.reset();
    run.cancels_children = false;
    run.attributes.clear();
    if (bytes.empty())
        return;
    binary_reader in{bytes, "details of a run"};
    const unsigned version = in.byte();
    if (version < 1 || version > format_version)
        in.fail("they are of an unknown version");
    if (version >= 4)
        for (auto& byte : run.parent.emplace().run.bytes)
            byte = static_cast<std::uint8_t>(in.byte());
    const unsigned pause = in.byte();
    if (pause > static_cast<unsigned>(pause_kind::by_request))
        in.fail("there is no such kind of pause");
    run.pause = static_cast<pause_kind>(pause);
    run.auto_resumes = in.small_number();
    if (in.flag())
        run.resume_at = in.time();
    run.deadlines.resize(in.count(min_deadline));
    for (deadline& armed : run.deadlines) {
        armed.timeout = name_at(in.small_number());
        armed.at = in.time();
        armed.attempt = in.small_number();
    }
    run.effects.resize(in.count(min_effect));
    for (effect& entry : run.effects) {
        entry.name = in.text();
        entry.value = in.text();
        entry.for_run = in.flag();
    }
    if (version >= 2)
        run.requested_by = in.text();
    if (version >= 3)
        read_fields(in, run);
    if (in.left() != 0)
        in.fail("something follows them");
}

} // namespace pawl::core
