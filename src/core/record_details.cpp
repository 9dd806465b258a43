#include "core/record_details.hpp"

#include "pawl/error.hpp"

#include <cstdint>
#include <limits>

namespace pawl::core {

namespace {

/// Version 2 added requested_by at the end; what has none is written as version 1.
constexpr char format_version = 2;

/// The shortest encodings, to refuse a count that the bytes cannot hold before it is believed.
constexpr std::size_t shortest_deadline = 3;
constexpr std::size_t shortest_effect = 3;

class writer {
public:
    explicit writer(std::string& out) : out_(out) {}

    void byte(unsigned value) { out_.push_back(static_cast<char>(value)); }

    void number(std::uint64_t value)
    {
        for (; value >= 0x80; value >>= 7)
            byte(static_cast<unsigned>(value & 0x7f) | 0x80);
        byte(static_cast<unsigned>(value));
    }

    void signed_number(std::int64_t value)
    {
        const auto sign = static_cast<std::uint64_t>(value >> 63);
        number((static_cast<std::uint64_t>(value) << 1) ^ sign);
    }

    void time(time_point value) { signed_number(value.time_since_epoch().count()); }

    void text(std::string_view value)
    {
        number(value.size());
        out_.append(value);
    }

private:
    std::string& out_;
};

class reader {
public:
    explicit reader(std::string_view bytes) : rest_(bytes) {}

    std::size_t left() const noexcept { return rest_.size(); }

    [[noreturn]] static void fail(const char* what)
    {
        throw error{errc::store_damaged, std::string{"details of a run: "} + what};
    }

    unsigned byte()
    {
        if (rest_.empty())
            fail("they end too early");
        const auto value = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }

    bool flag()
    {
        const unsigned value = byte();
        if (value > 1)
            fail("a flag is neither 0 nor 1");
        return value == 1;
    }

    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const unsigned part = byte();
            if (shift == 63 && part > 1)
                break;
            value |= static_cast<std::uint64_t>(part & 0x7f) << shift;
            if (part < 0x80)
                return value;
        }
        fail("a number is too long");
    }

    std::int64_t signed_number()
    {
        const std::uint64_t value = number();
        return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
    }

    int small_number()
    {
        const std::int64_t value = signed_number();
        if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
            fail("a number is out of its range");
        return static_cast<int>(value);
    }

    time_point time() { return time_point{duration{signed_number()}}; }

    std::string text()
    {
        const std::uint64_t size = number();
        if (size > rest_.size())
            fail("a text is cut off");
        std::string value{rest_.substr(0, size)};
        rest_.remove_prefix(size);
        return value;
    }

    std::size_t count(std::size_t shortest)
    {
        const std::uint64_t value = number();
        if (value > rest_.size() / shortest)
            fail("a list is cut off");
        return value;
    }

private:
    std::string_view rest_;
};

} // namespace

std::string encode_details(const record& run)
{
    std::string bytes;
    if (run.deadlines.empty() && run.effects.empty() && run.pause == pause_kind::none &&
        run.auto_resumes == 0 && !run.resume_at && run.requested_by.empty())
        return bytes;
    writer out{bytes};
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
    reader in{bytes};
    const unsigned version = in.byte();
    if (version < 1 || version > format_version)
        reader::fail("they are of an unknown version");
    const unsigned pause = in.byte();
    if (pause > static_cast<unsigned>(pause_kind::by_request))
        reader::fail("there is no such kind of pause");
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
        reader::fail("something follows them");
}

} // namespace pawl::core
