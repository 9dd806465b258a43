#pragma once

#include "pawl/error.hpp"
#include "stores/postgres/schema.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::postgres {

/// A statement was made with what was known of the schema before it was read again.
class stale_request : public error {
public:
    stale_request() : error(errc::store_unavailable, "the schema has been made again") {}
};

/// What a store knows of its schema: read when it is opened, and again for each session that
/// writes, because the schema may have been restored meanwhile or be another server's. Thread-safe.
class schema_memory {
public:
    schema_memory(std::string schema, std::string where, schema_facts first);

    /// Of each workflow.
    std::uint32_t shards() const noexcept { return shards_; }

    /// Which reading this is; never 0.
    std::uint64_t version() const;
    type_numbers types() const;
    std::optional<workflow_place> workflow(std::string_view name) const;

    /// Throws error (store_corrupt) when the workflow had other shards before: they have been given
    /// to callers.
    void add(std::string_view name, const workflow_place& place);

    /// Throws error when it is no longer the schema that was opened.
    boost::asio::awaitable<void> read_again(connection& link);

private:
    void replace(schema_facts facts);
    void check_home(std::string_view name, const workflow_place& place);

    const std::string schema_;
    const std::string where_;
    const std::uint32_t shards_;
    mutable std::mutex mutex_;
    std::uint64_t version_ = 1;
    type_numbers types_;
    std::map<std::string, workflow_place, std::less<>> workflows_;
    std::map<std::string, std::uint32_t, std::less<>> homes_; ///< the first shards ever seen
};

} // namespace pawl::postgres
