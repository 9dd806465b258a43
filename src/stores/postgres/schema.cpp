#include "stores/postgres/schema.hpp"

#include "pawl/error.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/queries.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>

#include <chrono>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::postgres {

namespace asio = boost::asio;

// The text of pawl_schema.sql, made when Pawl is built: its head, and a part for each version,
// which brings a schema of the version before to this version.
extern const std::span<const std::string_view> schema_script_parts;

namespace {

/// How long creating or migrating a schema may take, and waiting for another process that does so.
constexpr std::chrono::hours max_change_time{1};

/// How long after a statement's time limit in the server its answer may arrive.
constexpr std::chrono::seconds answer_grace{5};

/// The advisory lock for creating schemas: "Pawl" in ASCII, then the hash of the schema's name.
constexpr int lock_number = 0x5061'776c;

int newest_version()
{
    return static_cast<int>(schema_script_parts.size()) - 1;
}

void refuse_newer(std::string_view server, std::string_view schema, std::int64_t version)
{
    if (version > newest_version())
        throw error{errc::store_version_unsupported,
                    fmt::format("PostgreSQL at {}: the schema {} is version {}, this Pawl knows up "
                                "to {}",
                                server, schema, version, newest_version())};
}

asio::awaitable<result> query(connection& link, std::string sql, std::string_view doing)
{
    request statement;
    statement.sql = std::move(sql);
    statement.doing = doing;
    auto rows = co_await link.execute(statement);
    co_return rows;
}

/// The process id of the server session behind a connection.
asio::awaitable<std::int64_t> query_process(connection& link)
{
    auto rows =
        co_await query(link, "SELECT pg_catalog.pg_backend_pid()::bigint", "detecting a pooler");
    rows.next();
    co_return rows.integer();
}

/// The statements that open a store. The coroutines end before the object is destroyed.
class schema_opener {
public:
    schema_opener(const asio::any_io_executor& executor, std::shared_ptr<const target> server,
                  const std::shared_ptr<warning_log>& warnings, const postgres_options& options)
        : server_(std::move(server)), options_(options), link_(connect(executor, warnings)),
          second_link_(connect(executor, warnings))
    {
    }

    asio::awaitable<schema_facts> run();

private:
    std::shared_ptr<connection> connect(const asio::any_io_executor& executor,
                                        const std::shared_ptr<warning_log>& warnings) const
    {
        return std::make_shared<connection>(executor, server_, warnings, false,
                                            options_.statement_timeout + answer_grace);
    }

    asio::awaitable<result> query(std::string sql, std::string_view doing)
    {
        return postgres::query(*link_, std::move(sql), doing);
    }
    asio::awaitable<void> check_pooler();
    asio::awaitable<int> stored_version();
    asio::awaitable<bool> exists();
    asio::awaitable<void> create_or_migrate();
    asio::awaitable<void> apply_migrations();
    asio::awaitable<void> begin_change();

    std::string literal() const { return fmt::format("'{}'", options_.schema); }
    void refuse_newer(int version) const
    {
        postgres::refuse_newer(server_->name(), options_.schema, version);
    }

    const std::shared_ptr<const target> server_;
    const postgres_options& options_;
    const std::shared_ptr<connection> link_;
    const std::shared_ptr<connection> second_link_; ///< open only where there is a pooler
};

/// Behind a pooler that changes sessions between transactions, LISTEN and prepared statements would
/// be lost later. An idle pooler can be detected: it serves two connections with one session.
asio::awaitable<void> schema_opener::check_pooler()
{
    if (options_.poll_only)
        co_return;
    const auto first = co_await query_process(*link_);
    // A pooler reports process ids of its own to the client.
    if (first == PQbackendPID(link_->handle()))
        co_return;
    co_await second_link_->open();
    const auto second = co_await query_process(*second_link_);
    if (first != second) {
        second_link_->close();
        co_return;
    }
    // Other clients of the pool must not inherit the settings of this store.
    co_await second_link_->run_script("RESET ALL", "leaving the pool", answer_grace);
    throw error{errc::store_access_denied,
                fmt::format("PostgreSQL at {}: a pooler changes sessions between transactions: set "
                            "postgres_options::poll_only, or let it pool sessions "
                            "(pool_mode=session)",
                            server_->name())};
}

/// 0 when the schema does not exist or is empty.
asio::awaitable<int> schema_opener::stored_version()
{
    constexpr std::string_view doing = "looking for the schema";
    // The catalog is queried first: a missing table would be an error in the server's log.
    auto tables =
        co_await query(fmt::format("SELECT count(*) FILTER (WHERE c.relname = 'meta'), count(*) "
                                   "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                                   "ON n.oid = c.relnamespace WHERE n.nspname = {}",
                                   literal()),
                       doing);
    tables.next();
    const auto metas = tables.integer();
    const auto all = tables.integer();
    if (all == 0)
        co_return 0;
    if (metas == 0)
        throw_corrupt(server_->name(), fmt::format("the schema {} has tables, but none of Pawl's: "
                                                   "use another one",
                                                   options_.schema));
    auto meta =
        co_await query(fmt::format("SELECT version FROM {}.meta", quoted(options_.schema)), doing);
    if (!meta.next())
        throw_corrupt(server_->name(),
                      fmt::format("the schema {} has no version", options_.schema));
    co_return static_cast<int>(meta.integer());
}

/// Whether the schema exists, even if it is empty.
asio::awaitable<bool> schema_opener::exists()
{
    auto found = co_await query(
        fmt::format("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = {}", literal()),
        "looking for the schema");
    found.next();
    co_return found.integer() != 0;
}

/// The statements that bring a schema to each version.
std::vector<std::string> migrations(const postgres_options& options)
{
    std::vector<std::string> parts;
    for (auto left : schema_script_parts.subspan(1)) {
        auto& part = parts.emplace_back();
        while (!left.empty()) {
            const auto end = left.find('\n');
            const auto line = left.substr(0, end);
            left.remove_prefix(end == left.npos ? left.size() : end + 1);
            if (!line.starts_with('\\') && !line.starts_with("CREATE SCHEMA ")) {
                part.append(line);
                part.push_back('\n');
            }
        }
    }
    const auto replace = [&parts](std::string_view name, const std::string& value) {
        for (auto& part : parts)
            for (std::size_t at = 0; (at = part.find(name, at)) != part.npos; at += value.size())
                part.replace(at, name.size(), value);
    };
    replace(":\"schema\"", quoted(options.schema));
    replace(":shards", std::to_string(options.shards));
    return parts;
}

/// Begins the transaction that changes the schema, once no other process changes it.
asio::awaitable<void> schema_opener::begin_change()
{
    const auto limit = std::chrono::milliseconds{max_change_time}.count();
    const auto lock_timeout =
        std::chrono::ceil<std::chrono::milliseconds>(options_.lock_timeout).count();
    // A change that waits for a table's lock blocks every later statement on the table.
    co_await link_->run_script(
        fmt::format("BEGIN; SET LOCAL statement_timeout = {0}; SET LOCAL lock_timeout = {0}; "
                    "SELECT pg_advisory_xact_lock({1}, hashtext({2})); "
                    "SET LOCAL lock_timeout = {3}",
                    limit, lock_number, literal(), lock_timeout),
        "waiting for another process that creates the schema", max_change_time + answer_grace);
}

asio::awaitable<void> schema_opener::apply_migrations()
{
    constexpr auto limit = max_change_time + answer_grace;
    const auto doing = fmt::format("creating the schema {}", options_.schema);
    co_await begin_change();
    // Another process may have created it meanwhile.
    const auto stored = co_await stored_version();
    refuse_newer(stored);
    // CREATE SCHEMA needs a privilege that the owner of an existing schema may not have.
    const bool is_existing = co_await exists();
    if (!is_existing)
        co_await link_->run_script(fmt::format("CREATE SCHEMA {}", quoted(options_.schema)), doing,
                                   limit);
    const auto parts = migrations(options_);
    for (auto part = static_cast<std::size_t>(stored); part < parts.size(); ++part)
        co_await link_->run_script(parts[part], doing, limit);
    co_await link_->run_script("COMMIT", doing, limit);
}

asio::awaitable<void> schema_opener::create_or_migrate()
{
    const auto newest = newest_version();
    const auto stored = co_await stored_version();
    refuse_newer(stored);
    if (stored == newest)
        co_return;
    const auto advice =
        fmt::format("have an administrator run pawl_schema.sql with -v schema={}", options_.schema);
    if (!options_.create_schema)
        throw error{errc::store_access_denied,
                    fmt::format("PostgreSQL at {}: the schema {} is {}, and the option "
                                "create_schema forbids a change: {}",
                                server_->name(), options_.schema,
                                stored == 0 ? "missing" : "of an older Pawl", advice)};
    try {
        co_await apply_migrations();
    } catch (const server_error& refused) {
        if (refused.state() != "42501")
            throw;
        throw error{errc::store_access_denied,
                    fmt::format("{}: the role may not create the schema {}: {}", refused.detail(),
                                options_.schema, advice)};
    }
}

asio::awaitable<schema_facts> schema_opener::run()
{
    co_await link_->open();
    co_await check_pooler();
    co_await create_or_migrate();
    auto found = co_await read_facts(*link_, options_.schema, server_->name());
    co_return found;
}

} // namespace

std::string quoted(std::string_view schema)
{
    return fmt::format("\"{}\"", schema);
}

asio::awaitable<schema_facts> read_facts(connection& link, std::string schema_name,
                                         std::string server)
{
    schema_facts facts;
    const auto schema = quoted(schema_name);
    constexpr std::string_view doing = "reading the schema";
    auto meta =
        co_await query(link, fmt::format("SELECT shards, version FROM {}.meta", schema), doing);
    if (!meta.next())
        throw_corrupt(server, fmt::format("the schema {} has no version", schema_name));
    meta.read(facts.shards);
    const auto version = meta.integer();
    refuse_newer(server, schema_name, version);
    if (facts.shards == 0 || facts.shards > core::max_shards)
        throw_corrupt(server, fmt::format("the schema {} has {} shards: there are 1 to {}",
                                          schema_name, facts.shards, core::max_shards));

    auto workflows = co_await query(
        link, fmt::format("SELECT name, workflow, first_shard FROM {}.workflows", schema), doing);
    while (workflows.next()) {
        const std::string name{workflows.bytes()};
        facts.workflows[name] = queries::read_workflow(workflows);
    }

    const std::pair<std::string_view, Oid*> types[] = {
        {"transition_input", &facts.types.transition},
        {"settlement_input", &facts.types.settlement},
        {"delivery_input", &facts.types.delivery},
        {"cursor_input", &facts.types.cursor},
        {"removal_input", &facts.types.removal},
        {"publication_input", &facts.types.publication},
        {"trim_input", &facts.types.trim},
        {"attribute_input", &facts.types.attribute},
        {"attribute_update_input", &facts.types.attribute_update}};
    std::string columns;
    for (const auto& [name, number] : types)
        columns += fmt::format("{}'{}.{}'::regtype::oid::bigint", columns.empty() ? "" : ", ",
                               schema, name);
    auto numbers = co_await query(link, "SELECT " + columns, doing);
    numbers.next();
    for (const auto& [name, number] : types)
        numbers.read(*number);
    co_return facts;
}

schema_facts prepare_schema(std::shared_ptr<const target> server,
                            std::shared_ptr<warning_log> warnings, const postgres_options& options)
{
    asio::io_context context;
    schema_opener opener{context.get_executor(), std::move(server), warnings, options};
    auto facts = asio::co_spawn(context, opener.run(), asio::use_future);
    context.run();
    return facts.get();
}

} // namespace pawl::postgres
