#pragma once

#include "pawl/record.hpp"

#include <string>
#include <string_view>

namespace pawl::core {

/// The parts of a record that no query looks into, as one value: deadlines, effects, and how its
/// error pauses resume. Empty when all of them are as in a new record.
///
/// Stored format, version 1. Numbers are LEB128 varints, signed ones zigzag-coded; a text is its
/// length and its bytes; a time is its microseconds.
///
///     byte     version (1)
///     byte     pause kind
///     signed   automatic resumes
///     byte     1 if the run resumes by itself, then time resume_at; else 0
///     number   of deadlines, each: signed timeout, time at, signed attempt
///     number   of effects, each: text name, text value, byte for_run
std::string encode_details(const record& run);

/// The inverse. Throws error (store_damaged) when the bytes are not what encode_details writes.
void decode_details(std::string_view bytes, record& run);

} // namespace pawl::core
