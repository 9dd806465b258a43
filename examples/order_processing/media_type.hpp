#pragma once

#include "pawl/http/message.hpp"

#include <boost/algorithm/string/predicate.hpp>

namespace order_processing {

/// Whether the request declares its body as JSON. A page of another site can send any other type
/// without asking the server first.
inline bool is_json(const pawl::http::request& req)
{
    const auto sent = req.header("content-type");
    auto type = sent.substr(0, sent.find(';'));
    type = type.substr(0, type.find_last_not_of(" \t") + 1);
    return boost::algorithm::iequals(type, "application/json");
}

} // namespace order_processing
