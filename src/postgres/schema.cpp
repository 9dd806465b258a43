#include "postgres/schema.hpp"

#include "core/store_rules.hpp"
#include "pawl/error.hpp"
#include "postgres/connection.hpp"
#include "postgres/error.hpp"
#include "postgres/queries.hpp"

#include <fmt/format.h>

#include <poll.h>

#include <chrono>
#include <string_view>
#include <vector>

namespace pawl::postgres {

// The text of pawl_schema.sql; made when Pawl is built.
extern const std::string_view schema_script;

namespace {

constexpr int oldest_server = 130000;

/// The advisory lock under which schemas are made: "Pawl" in ASCII, then the schema's name hashed.
constexpr int lock_number = 0x5061'776c;

connection_pointer connect(const target& where)
{
    connection_pointer made{where.start()};
    if (!made)
        throw std::bad_alloc{};
    PQsetNoticeReceiver(made.get(), [](void*, const PGresult*) {}, nullptr);
    const auto until = std::chrono::steady_clock::now() + where.time_limit();
    auto next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (PQstatus(made.get()) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
            throw_connect_error(made.get(), where.name());
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        pollfd socket{.fd = PQsocket(made.get()),
                      .events = next == PGRES_POLLING_READING ? short{POLLIN} : short{POLLOUT},
                      .revents = 0};
        if (left.count() <= 0 || ::poll(&socket, 1, static_cast<int>(left.count())) == 0)
            throw error{errc::store_unavailable,
                        fmt::format("PostgreSQL at {}: no answer within the time to connect",
                                    where.name())};
        next = PQconnectPoll(made.get());
    }
    PQsetErrorVerbosity(made.get(), PQERRORS_DEFAULT);
    if (const int version = PQserverVersion(made.get()); version < oldest_server)
        throw error{errc::store_refused,
                    fmt::format("PostgreSQL at {}: the server's version is {}.{}, and 13 is the "
                                "oldest that Pawl works with",
                                where.name(), version / 10000, version % 10000)};
    return made;
}

/// The statements that opening a store needs.
class opening {
public:
    opening(const target& where, const postgres_options& options)
        : where_(where), options_(options), link_(connect(where))
    {
    }

    result run(const std::string& sql, std::string_view doing)
    {
        result_pointer rows{
            PQexecParams(link_.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 1)};
        check(rows, doing);
        return {std::move(rows), where_.name()};
    }

    /// Several statements at once.
    void script(const std::string& sql, std::string_view doing)
    {
        check(result_pointer{PQexec(link_.get(), sql.c_str())}, doing);
    }

    /// 0 when there is no such schema, or nothing in it.
    int version();
    void create();
    schema_facts facts();

private:
    void check(const result_pointer& rows, std::string_view doing)
    {
        const auto status = PQresultStatus(rows.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            throw_result_error(link_.get(), rows.get(), where_.name(), doing);
    }

    std::string literal() const { return fmt::format("'{}'", options_.schema); }
    void refuse_newer(int version) const;

    const target& where_;
    const postgres_options& options_;
    connection_pointer link_;
};

int opening::version()
{
    constexpr auto doing = "looking for the schema";
    // Asked of the catalogue first: a missing table must not be an error in the server's log.
    auto tables = run(fmt::format("SELECT count(*) FILTER (WHERE c.relname = 'meta'), count(*) "
                                  "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                                  "ON n.oid = c.relnamespace WHERE n.nspname = {}",
                                  literal()),
                      doing);
    tables.next();
    const auto metas = tables.integer();
    const auto all = tables.integer();
    if (all == 0)
        return 0;
    if (metas == 0)
        throw_damaged(where_.name(), fmt::format("the schema {} has tables, but none of Pawl's: "
                                                 "use another one",
                                                 options_.schema));
    auto meta = run(fmt::format("SELECT version FROM {}.meta", options_.schema), doing);
    if (!meta.next())
        throw_damaged(where_.name(), fmt::format("the schema {} has no version", options_.schema));
    return static_cast<int>(meta.integer());
}

/// The parts of the script, each of which brings a schema to the next version.
std::vector<std::string> migrations(const postgres_options& options)
{
    std::vector<std::string> parts;
    auto left = schema_script;
    while (!left.empty()) {
        const auto end = left.find('\n');
        const auto line = left.substr(0, end);
        left.remove_prefix(end == left.npos ? left.size() : end + 1);
        if (line.starts_with("-- version ")) {
            parts.emplace_back();
        } else if (!parts.empty() && !line.starts_with('\\')) {
            parts.back().append(line);
            parts.back().push_back('\n');
        }
    }
    const auto replace = [&parts](std::string_view name, const std::string& by) {
        for (auto& part : parts)
            for (std::size_t at = 0; (at = part.find(name, at)) != part.npos; at += by.size())
                part.replace(at, name.size(), by);
    };
    replace(":\"schema\"", options.schema);
    replace(":shards", std::to_string(options.shards));
    return parts;
}

void opening::refuse_newer(int version) const
{
    if (const auto known = migrations(options_).size(); version > static_cast<int>(known))
        throw error{errc::store_too_new,
                    fmt::format("PostgreSQL at {}: the schema {} is version {}, this Pawl knows up "
                                "to {}",
                                where_.name(), options_.schema, version, known)};
}

void opening::create()
{
    const auto parts = migrations(options_);
    auto stored = version();
    refuse_newer(stored);
    if (stored == static_cast<int>(parts.size()))
        return;
    const auto how_to_go_on =
        fmt::format("have an administrator run pawl_schema.sql with -v schema={}", options_.schema);
    if (!options_.create_schema)
        throw error{errc::store_refused,
                    fmt::format("PostgreSQL at {}: the schema {} is {}, and the option "
                                "create_schema forbids to change that: {}",
                                where_.name(), options_.schema,
                                stored == 0 ? "missing" : "of an older Pawl", how_to_go_on)};
    try {
        script("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0", "locking");
        run(fmt::format("SELECT pg_advisory_xact_lock({}, hashtext({}))", lock_number, literal()),
            "waiting for another process that makes the schema");
        // Another process may have made it meanwhile.
        stored = version();
        refuse_newer(stored);
        for (auto at = static_cast<std::size_t>(stored); at < parts.size(); ++at)
            script(parts[at], fmt::format("making the schema {}", options_.schema));
        script("COMMIT", "making the schema");
    } catch (const server_error& refused) {
        if (refused.state() != "42501")
            throw;
        throw error{errc::store_refused,
                    fmt::format("{}: the role may not make the schema {}: {}", refused.detail(),
                                options_.schema, how_to_go_on)};
    }
}

schema_facts opening::facts()
{
    schema_facts facts;
    const auto& schema = options_.schema;
    constexpr auto doing = "reading the schema";
    auto meta = run(fmt::format("SELECT shards FROM {}.meta", schema), doing);
    if (!meta.next())
        throw_damaged(where_.name(), fmt::format("the schema {} has no version", schema));
    meta.read(facts.shards);
    if (facts.shards == 0 || facts.shards > core::max_shards)
        throw_damaged(where_.name(), fmt::format("the schema {} has {} shards: there are 1 to {}",
                                                 schema, facts.shards, core::max_shards));

    auto workflows =
        run(fmt::format("SELECT name, workflow, first_shard FROM {}.workflows", schema), doing);
    while (workflows.next()) {
        const std::string name{workflows.bytes()};
        facts.workflows[name] = queries::read_place(workflows);
    }

    auto types = run(fmt::format("SELECT {0}::oid::bigint, {1}::oid::bigint, {2}::oid::bigint, "
                                 "{3}::oid::bigint, {4}::oid::bigint, {5}::oid::bigint, "
                                 "{6}::oid::bigint",
                                 fmt::format("'{}.transition_input'::regtype", schema),
                                 fmt::format("'{}.settlement_input'::regtype", schema),
                                 fmt::format("'{}.delivery_input'::regtype", schema),
                                 fmt::format("'{}.cursor_input'::regtype", schema),
                                 fmt::format("'{}.removal_input'::regtype", schema),
                                 fmt::format("'{}.publication_input'::regtype", schema),
                                 fmt::format("'{}.trim_input'::regtype", schema)),
                     doing);
    types.next();
    for (Oid* type :
         {&facts.types.transition, &facts.types.settlement, &facts.types.delivery,
          &facts.types.cursor, &facts.types.removal, &facts.types.publication, &facts.types.trim})
        types.read(*type);
    return facts;
}

} // namespace

schema_facts prepare_schema(const target& where, const postgres_options& options)
{
    opening database{where, options};
    database.create();
    return database.facts();
}

} // namespace pawl::postgres
