#pragma once

#include "pawl/detail/engine_api.hpp"
#include "pawl/limit_info.hpp"
#include "pawl/run_id.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pawl::detail {

/// The limits of an engine as pawl::limits sees them. Not an extension point.
class limits_api {
public:
    virtual ~limits_api() = default;

    virtual void list(completion<std::vector<limit_info>> done) = 0;
    virtual void set(std::string name, limit_options numbers, completion<> done) = 0;
    virtual void reset(std::string name, completion<> done) = 0;
    virtual void explain(run_id run, completion<std::optional<limit_wait>> done) = 0;
};

} // namespace pawl::detail
