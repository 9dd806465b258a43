#pragma once

#include "stores/postgres/connection.hpp"
#include "stores/postgres/target.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace pawl::postgres {

/// The object ids of the types that apply() takes, in this database.
struct type_numbers {
    Oid transition = 0;
    Oid settlement = 0;
    Oid delivery = 0;
    Oid cursor = 0;
    Oid removal = 0;
    Oid publication = 0;
    Oid trim = 0;
    Oid attribute = 0;
    Oid attribute_update = 0;

    bool operator==(const type_numbers&) const = default;
};

/// The numbers of a workflow in a database, which never change.
struct workflow_location {
    int number = 0;
    std::optional<std::uint32_t> first_shard; ///< empty: the workflow has no shards yet

    bool operator==(const workflow_location&) const = default;
};

/// What a store needs to know about its schema.
struct schema_facts {
    std::uint32_t shards = 0; ///< of each workflow
    type_numbers types;
    std::map<std::string, workflow_location, std::less<>> workflows;
};

/// The name as a quoted identifier, because it may be a keyword of SQL.
std::string quoted(std::string_view schema);

/// Reads an existing schema. @param server a target's name, for errors.
boost::asio::awaitable<schema_facts> read_facts(connection& link, std::string schema,
                                                std::string server);

/// Connects, checks the schema, and creates or migrates it if the options allow. Blocks. Throws
/// error; see open_postgres().
schema_facts prepare_schema(std::shared_ptr<const target> server,
                            std::shared_ptr<warning_log> warnings, const postgres_options& options);

} // namespace pawl::postgres
