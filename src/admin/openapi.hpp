#pragma once

namespace pawl::admin::detail {

/// The API, as OpenAPI 3.1 describes it: openapi.json of this folder.
extern const char* const openapi_document;

} // namespace pawl::admin::detail
