#include "pawl/child.hpp"

#include <boost/describe/class.hpp>

namespace pawl::detail {

namespace {

/// Stored format. Members may be added.
struct stored_head {
    std::string run;
    std::string foreign_id;
    int status = 0;
    std::string state;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(stored_head, (), (run, foreign_id, status, state, reason))

} // namespace

void write_child_end_head(const child_end_head& head, std::string& out)
{
    codec<stored_head>::encode(
        {to_string(head.run), head.foreign_id, head.status, to_string(head.state), head.reason},
        out);
    out += '\n';
}

child_end_head read_child_end_head(std::string_view& bytes)
{
    const auto end = bytes.find('\n');
    const auto stored = codec<stored_head>::decode(bytes.substr(0, end));
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    const auto run = parse_run_id(stored.run);
    const auto state = parse_run_state(stored.state);
    if (!run || !state)
        throw error(errc::decode_failed, "the end of a child names the run \"" + stored.run +
                                             "\" and the run state \"" + stored.state + "\"");
    return {*run, stored.foreign_id, stored.status, *state, stored.reason};
}

} // namespace pawl::detail
