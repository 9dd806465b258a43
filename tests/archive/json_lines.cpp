// An archive file that several objects and processes append to: each line is whole, none is lost,
// and a batch that fails leaves nothing behind.
#include "pawl/archive.hpp"
#include "pawl/error.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

BOOST_AUTO_TEST_SUITE(archive_of_json_lines)

namespace asio = boost::asio;
namespace json = boost::json;
using pawl::errc;

namespace {

pawl::archived_run make_run(std::uint64_t number, std::size_t size = 100)
{
    pawl::archived_run run;
    for (std::size_t i = 0; i < 8; ++i)
        run.last.id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
    run.last.workflow = "orders";
    run.last.foreign_id = std::to_string(number);
    run.last.state = pawl::run_state::completed;
    run.last.object = '"' + std::string(size, 'x') + '"';
    run.history.resize(1);
    return run;
}

void archive(pawl::archiver& to, const std::vector<pawl::archived_run>& runs)
{
    asio::io_context io;
    auto done = asio::co_spawn(io, to.archive(runs), asio::use_future);
    io.run();
    done.get();
}

void archive(pawl::archiver& to, std::uint64_t number)
{
    archive(to, {make_run(number)});
}

std::string bytes_of(const std::string& path)
{
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

void append(const std::string& path, const std::string& bytes)
{
    std::ofstream{path, std::ios::binary | std::ios::app} << bytes;
}

/// The foreign ids of the file's lines, each of which is parsed.
std::multiset<std::string> ids_in(const std::string& path)
{
    std::multiset<std::string> ids;
    std::ifstream file{path, std::ios::binary};
    for (std::string line; std::getline(file, line);) {
        boost::system::error_code failure;
        const auto value = json::parse(line, failure);
        BOOST_TEST(!failure, "not JSON: " << line.substr(0, 200));
        if (!failure)
            ids.insert(std::string(value.at("foreign_id").as_string()));
    }
    BOOST_TEST((bytes_of(path).empty() || bytes_of(path).back() == '\n'));
    return ids;
}

std::multiset<std::string> ids(std::uint64_t first, std::uint64_t end)
{
    std::multiset<std::string> all;
    for (; first < end; ++first)
        all.insert(std::to_string(first));
    return all;
}

errc code_of(const std::function<void()>& call, const std::string& word)
{
    try {
        call();
    } catch (const pawl::error& failure) {
        BOOST_TEST(std::string{failure.what()}.find(word) != std::string::npos, failure.what());
        return static_cast<errc>(failure.code().value());
    }
    return errc{};
}

/// Limits the size of files while it lives.
class limited_file_size {
public:
    explicit limited_file_size(rlim_t bytes) : signal_(::signal(SIGXFSZ, SIG_IGN))
    {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        auto limit = before_;
        limit.rlim_cur = bytes;
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~limited_file_size()
    {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, signal_);
    }
    limited_file_size(const limited_file_size&) = delete;
    limited_file_size& operator=(const limited_file_size&) = delete;

private:
    void (*signal_)(int);
    rlimit before_{};
};

/// Archives a batch of runs at a time until all are there.
[[noreturn]] void archive_in_child(const std::string& path, std::uint64_t first, std::uint64_t end)
{
    try {
        const auto to = pawl::json_lines_archive(path);
        while (first < end) {
            std::vector<pawl::archived_run> batch;
            for (int i = 0; i < 5; ++i, ++first)
                batch.push_back(make_run(first, 2'000));
            archive(*to, batch);
        }
    } catch (...) {
        ::_exit(1);
    }
    ::_exit(0);
}

} // namespace

BOOST_AUTO_TEST_CASE(two_objects_append_to_one_file)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    const auto orders = pawl::json_lines_archive(path);
    const auto payments = pawl::json_lines_archive(path);
    for (std::uint64_t i = 0; i < 10; ++i)
        archive(i % 2 == 0 ? *orders : *payments, {make_run(i, 10 * (11 - i))});
    BOOST_TEST(ids_in(path) == ids(0, 10), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(several_processes_append_to_one_file)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    constexpr std::uint64_t runs = 100;
    std::vector<pid_t> children;
    for (std::uint64_t i = 0; i < 4; ++i) {
        const pid_t child = ::fork();
        BOOST_REQUIRE(child >= 0);
        if (child == 0)
            archive_in_child(path, i * runs, (i + 1) * runs);
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
        BOOST_TEST(status == 0);
    }
    BOOST_TEST(ids_in(path) == ids(0, 4 * runs), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_line_that_another_process_is_writing_is_not_cut)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    archive(*pawl::json_lines_archive(path), 7);
    const auto line = bytes_of(path);
    const int other = ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
    BOOST_REQUIRE(other >= 0);
    BOOST_REQUIRE(::flock(other, LOCK_EX) == 0);
    append(path, line.substr(0, line.size() / 2));
    const auto opened = pawl::json_lines_archive(path);
    asio::io_context io;
    const std::vector runs{make_run(8)};
    auto done = asio::co_spawn(io, opened->archive(runs), asio::use_future);
    io.poll(); // the archive's thread waits for the lock from now on
    append(path, line.substr(line.size() / 2));
    ::close(other);
    io.run();
    done.get();
    BOOST_TEST(ids_in(path) == (std::multiset<std::string>{"7", "7", "8"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_batch_that_fails_leaves_nothing_behind)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    const auto to = pawl::json_lines_archive(path);
    archive(*to, 1);
    const auto before = bytes_of(path);
    {
        const limited_file_size limit{before.size() + 5'000};
        const std::vector batch{make_run(2), make_run(3, 20'000)};
        BOOST_TEST((code_of([&] { archive(*to, batch); }, path) == errc::store_full));
        BOOST_TEST((bytes_of(path) == before));
    }
    archive(*to, 4); // shorter than the batch before
    BOOST_TEST(ids_in(path) == (std::multiset<std::string>{"1", "4"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(half_a_line_of_a_crash_is_removed)
{
    const temporary_folder folder;
    for (const std::string& rest :
         {std::string{"{"}, std::string{R"({"run":"018f3c5e-)"},
          R"({"run":"018f3c5e)" + std::string(200'000, 'x'), std::string(5'000, '\0'),
          R"({"run":"0)" + std::string(5'000, '\0')}) {
        const auto path = folder.file("archive.jsonl");
        std::filesystem::remove(path);
        const auto to = pawl::json_lines_archive(path);
        archive(*to, 1);
        append(path, rest);
        archive(*to, 2); // by an object that was open when the other process crashed
        BOOST_TEST(ids_in(path) == ids(1, 3), boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_last_line_without_its_newline_is_kept)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    archive(*pawl::json_lines_archive(path), 1);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
    archive(*pawl::json_lines_archive(path), 2);
    BOOST_TEST(ids_in(path) == ids(1, 3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_file_of_something_else_is_left_alone)
{
    const temporary_folder folder;
    const auto path = folder.file("notes.txt");
    for (const std::string& notes :
         {std::string{"first\nsecond, without an end"}, std::string{"\0binary\n\0\1\2", 11}}) {
        std::filesystem::remove(path);
        append(path, notes);
        const auto to = pawl::json_lines_archive(path);
        BOOST_TEST((code_of([&] { archive(*to, 1); }, path) == errc::store_corrupt));
        BOOST_TEST((bytes_of(path) == notes));
    }
    BOOST_TEST((code_of([] { pawl::json_lines_archive("/dev/null"); }, "/dev/null") ==
                errc::store_read_only));
}

BOOST_AUTO_TEST_CASE(a_file_that_was_renamed_or_removed_is_made_again)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    const auto to = pawl::json_lines_archive(path);
    archive(*to, 1);
    std::filesystem::rename(path, folder.file("archive.jsonl.1"));
    archive(*to, 2);
    BOOST_TEST(ids_in(folder.file("archive.jsonl.1")) == ids(1, 2),
               boost::test_tools::per_element());
    BOOST_TEST(ids_in(path) == ids(2, 3), boost::test_tools::per_element());
    std::filesystem::remove(path);
    archive(*to, 3);
    BOOST_TEST(ids_in(path) == ids(3, 4), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_relative_path_means_the_same_file_after_a_change_of_folder)
{
    const temporary_folder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder.file(""));
    const auto to = pawl::json_lines_archive("archive.jsonl");
    std::filesystem::current_path(before);
    archive(*to, 1);
    std::filesystem::rename(folder.file("archive.jsonl"), folder.file("old.jsonl"));
    archive(*to, 2);
    BOOST_TEST(ids_in(folder.file("archive.jsonl")) == ids(2, 3), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_archive_that_cannot_be_opened_keeps_no_descriptor)
{
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    for (int i = 0; i < 3; ++i)
        BOOST_CHECK_THROW(pawl::json_lines_archive("/dev/null"), pawl::error);
    const int now = ::dup(0);
    ::close(now);
    BOOST_TEST(now == lowest_free);
}

BOOST_AUTO_TEST_CASE(texts_that_are_not_utf8_are_named)
{
    const temporary_folder folder;
    const auto path = folder.file("archive.jsonl");
    auto run = make_run(1);
    run.last.foreign_id = "a\xff";
    run.last.reason = "plain";
    run.last.start_key = "\xfe";
    run.history.front().error = "\xfd";
    archive(*pawl::json_lines_archive(path), {run});
    const auto line = json::parse(bytes_of(path)).as_object();
    BOOST_TEST(line.at("foreign_id").as_string() == "Yf8=");
    BOOST_TEST(line.at("reason").as_string() == "plain");
    BOOST_TEST((line.at("base64").as_array() == json::array{"foreign_id", "start_key"}));
    const auto& entry = line.at("history").as_array().at(0).as_object();
    BOOST_TEST((entry.at("base64").as_array() == json::array{"error"}));
}

BOOST_AUTO_TEST_SUITE_END()
