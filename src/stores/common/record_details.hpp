#pragma once

#include "pawl/record.hpp"

#include <string>
#include <string_view>

namespace pawl::core {

/// Encodes the fields of a record that no query uses as one value: deadlines, effects, and the
/// resume of error pauses. Empty when all of them are as in a new record.
///
/// Stored format, versions 1 to 4; the oldest version that can hold the record is written. Numbers
/// are LEB128 varints, signed ones zigzag-coded; a text is its length and its bytes; a time is its
/// microseconds.
///
///     byte     version
///     16 bytes id of the parent, in version 4 only: PostgreSQL reads it there
///     byte     pause kind
///     signed   automatic resumes
///     byte     1 and time resume_at if the run resumes automatically; else 0
///     number   of deadlines, each: signed timeout, time at, signed attempt
///     number   of effects, each: text name, text value, byte for_run
///     text     requested_by, from version 2 on
///     fields   from version 3 on, in order of their tags, each: byte tag, and its value
///                1: per deadline text timeout; without it the name for its number
///                2: per effect number version; without it 1
///                3: number suspicion; without it 0
///                4: number of callback retries, each: number message, signed attempt, time
///                   not_before
///                5: number round; per deadline number round; per effect number handler;
///                   without it 0
///                6: text callback of the parent, byte on_cancel, byte is_notified; in version 4
///                7: byte 1 if cancels_children
std::string encode_details(const record& run);

/// Decodes the value of encode_details(). Throws error (store_corrupt) when the bytes are invalid.
void decode_details(std::string_view bytes, record& run);

} // namespace pawl::core
