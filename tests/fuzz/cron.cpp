// Cron expressions and time zones: any text is read or refused by name, and the slots of what was
// read follow each other.
//
// The input is an expression, a line feed, and a zone; without a line feed the zone is UTC.
#include "core/cron.hpp"
#include "fuzz/fuzz.hpp"
#include "pawl/error.hpp"

#include <chrono>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const auto input = fuzz::text(data, size);
    const auto feed = input.find('\n');
    const auto zone = feed == input.npos ? std::string_view{"UTC"} : input.substr(feed + 1);
    const pawl::time_point begin{std::chrono::hours{24 * 365 * 55}};
    try {
        const pawl::core::cron when{input.substr(0, feed), zone, begin};
        auto at = begin;
        for (int i = 0; i < 20; ++i) {
            const auto next = when.next(at);
            if (!next)
                break;
            fuzz::require(*next > at, "a slot is later than the one before");
            fuzz::require(when.next(*next - pawl::duration{1}) == next,
                          "a slot is the first after the moment before it");
            at = *next;
        }
    } catch (const pawl::error& refused) {
        fuzz::require(refused.code() == pawl::errc::invalid_argument, "a refusal is of the text");
        fuzz::require(!refused.detail().empty(), "a refusal says why");
    }
    return 0;
}
