#include "stores.hpp"

#include "limits/coroutines.hpp"
#include "limits/group_commit.hpp"

#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"

#if PAWL_BENCH_POSTGRES
#include "cluster.hpp"
#include "limits/postgres_commit.hpp"

#include "pawl/postgres.hpp"
#endif

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace pawl_bench {

#if PAWL_BENCH_POSTGRES

namespace {

backend on_postgres()
{
    return {
        "postgres",
        "PostgreSQL, synchronous_commit=on",
        [](const scratch_folder& where, const boost::asio::any_io_executor& executor) {
            return pawl::open_postgres(executor, where.postgres().uri());
        },
        "the same statement over libpq",
        "the same statement over libpq on PostgreSQL",
        [](const scratch_folder& where, const load& wanted) {
            boost::asio::io_context context;
            pawl::open_postgres(context.get_executor(), where.postgres().uri());
            return raw_postgres{where.postgres().uri()}.drive(wanted);
        },
    };
}

} // namespace

std::string_view why_no_postgres()
{
    return has_cluster() ? "" : "its programs, initdb and postgres, are not installed";
}

const scratch_database& scratch_folder::postgres() const
{
    if (!postgres_)
        postgres_ = std::make_unique<scratch_database>(given_);
    return *postgres_;
}

#else

class scratch_database {};

std::string_view why_no_postgres()
{
    return "this program was built without it (PAWL_POSTGRES, and an installed server)";
}

#endif

namespace {

std::vector<backend> all_backends()
{
    std::vector<backend> all{
        {
            "memory",
            "memory",
            [](const scratch_folder&, const boost::asio::any_io_executor&) {
                return pawl::open_memory();
            },
            "bare coroutines",
            "bare coroutines, nothing stored",
            [](const scratch_folder&, const load& wanted) { return drive_coroutines(1, wanted); },
        },
        {
            "sqlite",
            "SQLite, synchronous=FULL",
            [](const scratch_folder& where, const boost::asio::any_io_executor&) {
                return pawl::open_sqlite(where.database());
            },
            "raw group commit",
            "raw group commit on SQLite, synchronous=FULL",
            [](const scratch_folder& where, const load& wanted) {
                pawl::open_sqlite(where.database());
                return raw_sqlite{where.database()}.drive(wanted);
            },
        },
    };
#if PAWL_BENCH_POSTGRES
    if (has_cluster())
        all.push_back(on_postgres());
#endif
    return all;
}

} // namespace

std::vector<backend> backends(const options& given)
{
    auto all = all_backends();
    std::erase_if(all, [&](const backend& each) { return !is_wanted(given, each.name); });
    return all;
}

backend backend_named(std::string_view name)
{
    const auto all = all_backends();
    return *std::ranges::find(all, name, &backend::name);
}

bool is_wanted(const options& given, std::string_view store)
{
    return given.store.empty() || given.store == store;
}

scratch_folder::scratch_folder(const options& given) : given_(given)
{
    auto name = (std::filesystem::path{given.folder} / "pawl-bench-XXXXXX").string();
    if (!::mkdtemp(name.data()))
        throw std::runtime_error("--folder: no folder can be made in " + given.folder);
    path_ = name;
}

scratch_folder::~scratch_folder()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

} // namespace pawl_bench
