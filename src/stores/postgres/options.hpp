#pragma once

#include "pawl/postgres.hpp"

namespace pawl::postgres {

/// Throws definition_error, naming the option, when one is out of its range.
void check(const postgres_options& options);

} // namespace pawl::postgres
