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

/// A statement was built before the schema was read again.
class stale_request : public error {
public:
    stale_request() : error(errc::store_unavailable, "the schema was replaced") {}
};

/// What a store knows about its schema. It is read when the store is opened, and again for each
/// session that writes: the schema may have been restored or be another server's. Thread-safe.
class schema_memory {
public:
    schema_memory(std::string schema, std::string server, schema_facts first);

    /// Of each workflow.
    std::uint32_t shards() const noexcept { return shards_; }

    /// Grows when the schema turns out to have changed; never 0.
    std::uint64_t version() const;
    type_numbers types() const;
    std::optional<workflow_location> workflow(std::string_view name) const;

    /// Throws error (store_corrupt) when the workflow had other shards before, which callers know.
    void add(std::string_view name, const workflow_location& location);

    /// Throws error when it is no longer the schema that was opened.
    boost::asio::awaitable<void> read_again(connection& link);

private:
    void replace(schema_facts facts);
    void check_first_shard(std::string_view name, const workflow_location& location);

    const std::string schema_;
    const std::string server_;
    const std::uint32_t shards_;
    mutable std::mutex mutex_;
    std::uint64_t version_ = 1;
    type_numbers types_;
    std::map<std::string, workflow_location, std::less<>> workflows_;
    std::map<std::string, std::uint32_t, std::less<>> first_shards_; ///< as first seen
};

} // namespace pawl::postgres
