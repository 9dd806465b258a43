#pragma once

#include "pawl/http/message.hpp"
#include "pawl/operations_views.hpp"

/// Reads the filters of runs in a query. The functions refuse other parameters, and values that are
/// out of their range, as those of parameters.hpp do.
namespace pawl::admin::detail {

/// The filter of one page, with `limit` and `after`.
run_filter filter_of_page(const http::request& message);

/// The filter of all runs.
run_filter filter_of_all(const http::request& message);

} // namespace pawl::admin::detail
