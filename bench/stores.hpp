#pragma once

#include "options.hpp"
#include "pawl/record_store.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pawl_bench {

/// A backend that scenarios run on. A further one is a further line in stores.cpp.
struct backend {
    std::string_view name;
    std::shared_ptr<pawl::record_store> (*open)(const std::filesystem::path& folder);
};

/// Those that the command line leaves.
std::vector<backend> backends(const options& given);

/// False when the command line wants another store than this one.
bool is_wanted(const options& given, std::string_view store);

/// A new folder under options::folder, removed with everything in it.
class scratch_folder {
public:
    explicit scratch_folder(const options& given);
    ~scratch_folder();
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    const std::filesystem::path& path() const noexcept { return path_; }

    /// The database that backend::open makes in it, where that is a file.
    std::filesystem::path database() const { return path_ / "runs.db"; }

private:
    std::filesystem::path path_;
};

} // namespace pawl_bench
