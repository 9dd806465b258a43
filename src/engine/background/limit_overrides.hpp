#pragma once

#include "core/reserved_names.hpp"
#include "engine/api/engine_parts.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/limit.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace pawl::engine_detail {

using core::limits_workflow;

/// The workflow whose runs are the numbers that operators have set: one unfinished run for each
/// limit with such numbers, whose foreign id is the limit's name. Its shards stand for the parts of
/// all limits: see limit_leases.
std::shared_ptr<const detail::workflow_impl> make_limits_workflow();

/// The callbacks of these runs.
inline constexpr std::string_view set_numbers_callback = "set";
inline constexpr std::string_view reset_numbers_callback = "reset";

/// The encoded object of such a run, which is the payload of set_numbers_callback too.
std::string encode_numbers(const limit_options& numbers);

/// Reads the numbers that operators have set, and puts them in force in this engine. Throws what
/// the store throws. Numbers that cannot be read are logged.
boost::asio::awaitable<void> read_limit_numbers(engine_parts& shared);

} // namespace pawl::engine_detail
