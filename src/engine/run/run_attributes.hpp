#pragma once

#include "pawl/detail/handlers.hpp"
#include "pawl/record.hpp"
#include "pawl/record_store.hpp"

#include <string>
#include <vector>

namespace pawl::engine_detail {

/// The attributes of an object, in the order of their names. Throws size_exceeded when a text is
/// too long, and what the functions of the workflow throw.
std::vector<stored_attribute> attributes_of(const detail::workflow_impl& workflow,
                                            const detail::object_ptr& object);

/// The attributes of the object as it is stored. Also throws what its codec and its upgrades throw.
std::vector<stored_attribute> attributes_of(const detail::workflow_impl& workflow,
                                            const record& stored);

/// The attributes of an object that written_object() returned.
std::vector<stored_attribute> attributes_of_written(const detail::workflow_impl& workflow,
                                                    const std::string& written);

/// Throws error (invalid_argument) when the query names an attribute that the workflow lacks, or
/// compares one with a value of another kind.
void check_attribute_filters(const detail::workflow_impl& workflow, const record_query& query);

} // namespace pawl::engine_detail
