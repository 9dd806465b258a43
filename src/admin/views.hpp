#pragma once

#include "pawl/operations.hpp"

#include <boost/json/object.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

/// What operations reads, as JSON.
namespace pawl::admin::detail {

/// The labels of a workflow's statuses.
using status_labels = std::map<int, std::string>;

/// Of the newest definition that has the status.
status_labels labels_of(const std::vector<workflow_view>& definitions);

/// RFC 3339 in UTC.
std::string text_of(time_point at);

/// A run without its object.
boost::json::object summary_of(const run_view& run);

/// A run without its object, but with deadlines, attributes and the names of its effects.
boost::json::object detail_of(const run_view& run);

boost::json::object view_of(const event& entry, const status_labels& labels);
boost::json::object view_of(const workflow_overview& overview);
boost::json::object view_of(const workflow_view& workflow);
boost::json::object view_of(const schedule_info& schedule);
boost::json::object view_of(const connector_view& connector);
boost::json::object view_of(const engines_view& engines);
boost::json::object view_of(const dead_letter_topic_view& topic);
boost::json::object view_of(const audit_entry& entry);

/// Without the payload.
boost::json::object view_of(const message& pending);
boost::json::object view_of(const stream_event& letter);

/// The text of the object with one more member: `bytes` as they are if they are JSON, else as
/// base64 under the name with "_base64" appended.
std::string with_document(const boost::json::object& members, std::string_view name,
                          std::string_view bytes);

std::string to_text(const boost::json::object& members);

/// A JSON array of documents.
std::string join_documents(const std::vector<std::string>& documents);

} // namespace pawl::admin::detail
