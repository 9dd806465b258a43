// The stored forms of a run's details and of a stream event's headers: any bytes are read or
// refused as damaged, and what was read is written as bytes that read back as the same.
//
// The first byte of the input says which of the two.
#include "core/stream_headers.hpp"
#include "fuzz/fuzz.hpp"
#include "pawl/error.hpp"
#include "stores/common/record_details.hpp"

namespace {

void check_details(std::string_view bytes)
{
    pawl::record read;
    pawl::core::decode_details(bytes, read);
    pawl::record again;
    pawl::core::decode_details(pawl::core::encode_details(read), again);
    fuzz::require(again == read, "details read back");
}

void check_headers(std::string_view bytes)
{
    const auto read = pawl::core::decode_headers(bytes);
    fuzz::require(pawl::core::decode_headers(pawl::core::encode_headers(read)) == read,
                  "headers read back");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    try {
        const auto bytes = fuzz::text(data + 1, size - 1);
        data[0] % 2 ? check_headers(bytes) : check_details(bytes);
    } catch (const pawl::error& refused) {
        fuzz::require(refused.code() == pawl::errc::store_corrupt, "a refusal is of damage");
    }
    return 0;
}
