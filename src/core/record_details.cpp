#include "core/record_details.hpp"

#include "core/binary.hpp"

#include <cstdint>

namespace pawl::core {

namespace {

/// Version 2 added requested_by at the end; what has none is written as version 1.
constexpr char format_version = 2;

/// The shortest encodings, to refuse a count that the bytes cannot hold before it is believed.
constexpr std::size_t shortest_deadline = 3;
constexpr std::size_t shortest_effect = 3;

} // namespace

std::string encode_details(const record& run)
{
    std::string bytes;
    if (run.deadlines.empty() && run.effects.empty() && run.pause == pause_kind::none &&
        run.auto_resumes == 0 && !run.resume_at && run.requested_by.empty())
        return bytes;
    binary_writer out{bytes};
    out.byte(run.requested_by.empty() ? 1 : format_version);
    out.byte(static_cast<unsigned>(run.pause));
    out.signed_number(run.auto_resumes);
    out.byte(run.resume_at ? 1 : 0);
    if (run.resume_at)
        out.time(*run.resume_at);
    out.number(run.deadlines.size());
    for (const deadline& each : run.deadlines) {
        out.signed_number(each.timeout);
        out.time(each.at);
        out.signed_number(each.attempt);
    }
    out.number(run.effects.size());
    for (const effect& each : run.effects) {
        out.text(each.name);
        out.text(each.value);
        out.byte(each.for_run ? 1 : 0);
    }
    if (!run.requested_by.empty())
        out.text(run.requested_by);
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
    if (bytes.empty())
        return;
    binary_reader in{bytes, "details of a run"};
    const unsigned version = in.byte();
    if (version < 1 || version > format_version)
        in.fail("they are of an unknown version");
    const unsigned pause = in.byte();
    if (pause > static_cast<unsigned>(pause_kind::by_request))
        in.fail("there is no such kind of pause");
    run.pause = static_cast<pause_kind>(pause);
    run.auto_resumes = in.small_number();
    if (in.flag())
        run.resume_at = in.time();
    run.deadlines.resize(in.count(shortest_deadline));
    for (deadline& each : run.deadlines) {
        each.timeout = in.small_number();
        each.at = in.time();
        each.attempt = in.small_number();
    }
    run.effects.resize(in.count(shortest_effect));
    for (effect& each : run.effects) {
        each.name = in.text();
        each.value = in.text();
        each.for_run = in.flag();
    }
    if (version >= 2)
        run.requested_by = in.text();
    if (in.left() != 0)
        in.fail("something follows them");
}

} // namespace pawl::core
