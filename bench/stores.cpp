#include "stores.hpp"

#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"

#include <cstdlib>
#include <stdexcept>

namespace pawl_bench {

std::vector<backend> backends(const options& given)
{
    std::vector<backend> all{
        {"memory",
         [](const std::filesystem::path&) {
             return pawl::open_memory();
         }},
        {"sqlite",
         [](const std::filesystem::path& folder) {
             return pawl::open_sqlite(folder / "runs.db");
         }},
    };
    std::erase_if(all, [&](const backend& each) { return !is_wanted(given, each.name); });
    return all;
}

bool is_wanted(const options& given, std::string_view store)
{
    return given.store.empty() || given.store == store;
}

scratch_folder::scratch_folder(const options& given)
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
