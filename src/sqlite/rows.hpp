#pragma once

#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "sqlite/connection.hpp"

#include <string_view>

// Which columns carry which fields, for reading; writer.cpp has the other direction.
namespace pawl::sqlite {

/// To be selected from the table runs.
extern const std::string_view record_columns;
record read_record(execution& row);

/// To be selected from the table events, joined with runs.
extern const std::string_view event_columns;
event read_event(execution& row);

/// To be selected from the table messages; the run is what the caller asked for.
extern const std::string_view message_columns;
message read_message(execution& row, const run_id& run);

/// Throws error (store_damaged) when the number is none of the states.
run_state to_run_state(std::int64_t stored, const execution& row);

} // namespace pawl::sqlite
