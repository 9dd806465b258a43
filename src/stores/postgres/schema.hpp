#pragma once

#include "stores/postgres/connection.hpp"
#include "stores/postgres/target.hpp"
#include "stores/postgres/trouble_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace pawl::postgres {

/// The types that apply() takes, by their numbers in this database.
struct type_numbers {
    Oid transition = 0;
    Oid settlement = 0;
    Oid delivery = 0;
    Oid cursor = 0;
    Oid removal = 0;
    Oid publication = 0;
    Oid trim = 0;

    bool operator==(const type_numbers&) const = default;
};

/// How a workflow is known in a database; neither number ever changes.
struct workflow_place {
    int number = 0;
    std::optional<std::uint32_t> first_shard; ///< empty: it has no shards of its own yet

    bool operator==(const workflow_place&) const = default;
};

/// What a store needs to know of its schema.
struct schema_facts {
    std::uint32_t shards = 0; ///< of each workflow
    type_numbers types;
    std::map<std::string, workflow_place, std::less<>> workflows;
};

/// The name as SQL has it: also of one that is a word of SQL.
std::string quoted(std::string_view schema);

/// Of a schema that is there. @param where a target's name, for errors.
boost::asio::awaitable<schema_facts> read_facts(connection& link, std::string schema,
                                                std::string where);

/// Connects, looks at the schema, and makes or migrates it where the options allow. Blocks. Throws
/// error; see open_postgres().
schema_facts prepare_schema(std::shared_ptr<const target> where,
                            std::shared_ptr<trouble_log> troubles, const postgres_options& options);

} // namespace pawl::postgres
