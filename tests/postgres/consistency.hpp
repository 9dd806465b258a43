#pragma once

#include "postgres/support.hpp"

#include <map>
#include <string>

/// What pawl_check.sql prints of a schema: for each rule that is broken, its examples.
std::map<std::string, std::string> broken_rules(session& by, const std::string& schema);
