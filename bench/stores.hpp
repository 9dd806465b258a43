#pragma once

#include "options.hpp"
#include "rig.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pawl_bench {

class scratch_database;

/// A place for one database: a new folder under options::folder, removed at the end with everything
/// in it, and the emptied database of PostgreSQL for whoever asks for it.
class scratch_folder {
public:
    explicit scratch_folder(const options& given);
    ~scratch_folder();
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    const std::filesystem::path& path() const noexcept { return path_; }

    /// The database that a backend makes in it, where that is a file.
    std::filesystem::path database() const { return path_ / "runs.db"; }

    /// Made when it is first asked for. Precondition: why_no_postgres() is empty.
    const scratch_database& postgres() const;

private:
    const options& given_;
    std::filesystem::path path_;
    mutable std::unique_ptr<scratch_database> postgres_;
};

/// A backend that scenarios run on. A further one is a further line in stores.cpp.
struct backend {
    std::string_view name;
    std::string_view title; ///< for the chart, with how durable it is
    std::shared_ptr<pawl::record_store> (*open)(const scratch_folder& where,
                                                const boost::asio::any_io_executor& executor);

    std::string_view limit; ///< what bounds it
    std::string_view limit_title;
    load_result (*drive_limit)(const scratch_folder& where, const load& wanted);

    store_opener opener(const scratch_folder& where) const
    {
        return [&where, make = open](const boost::asio::any_io_executor& executor) {
            return make(where, executor);
        };
    }
};

/// Those that the command line leaves.
std::vector<backend> backends(const options& given);

/// That of this name, whether the command line wants it or not.
backend backend_named(std::string_view name);

/// False when the command line wants another store than this one.
bool is_wanted(const options& given, std::string_view store);

/// Why nothing can be measured on PostgreSQL; empty: it can.
std::string_view why_no_postgres();

} // namespace pawl_bench
