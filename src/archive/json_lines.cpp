#include "pawl/archive.hpp"

#include "pawl/codec.hpp"
#include "pawl/detail/json_io.hpp"
#include "pawl/error.hpp"
#include "pawl/offload.hpp"

#include <boost/archive/iterators/base64_from_binary.hpp>
#include <boost/archive/iterators/transform_width.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pawl {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string text_of(time_point time)
{
    std::string text;
    codec<time_point>::encode(time, text);
    return text.substr(1, text.size() - 2); // without the quotes
}

std::string base64(const std::string& bytes)
{
    using namespace boost::archive::iterators;
    using encoder = base64_from_binary<transform_width<std::string::const_iterator, 6, 8>>;
    std::string text{encoder{bytes.begin()}, encoder{bytes.end()}};
    text.append((3 - bytes.size() % 3) % 3, '=');
    return text;
}

/// Adds a text to the line. JSON cannot hold text that is not UTF-8; such text is stored as base64.
void put_text(json::object& line, json::string_view name, const std::string& text)
{
    boost::system::error_code failure;
    json::parse(json::serialize(json::value(text)), failure);
    line[name] = failure ? base64(text) : text;
    if (!failure)
        return;
    auto& names = line["base64"];
    if (names.is_null())
        names.emplace_array();
    names.get_array().emplace_back(name);
}

json::object line_of(const event& entry)
{
    json::object line{
        {"version", entry.version}, {"kind", to_string(entry.kind)},   {"from", entry.from},
        {"to", entry.to},           {"state", to_string(entry.state)}, {"attempt", entry.attempt},
        {"at", text_of(entry.at)}};
    if (!entry.error.empty())
        put_text(line, "error", entry.error);
    if (!entry.requested_by.empty())
        put_text(line, "requested_by", entry.requested_by);
    return line;
}

/// Returns the document in one line. Numbers keep their digits, which Boost's parser would not.
/// Empty if Pawl cannot parse the document.
std::optional<std::string> exact_json(const std::string& document)
{
    try {
        std::string line;
        detail::write_value(detail::parse_json(document), line);
        return line;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// The beginning of each line.
constexpr std::string_view line_beginning = R"({"run":")";

std::string line_of(const archived_run& run)
{
    const auto& last = run.last;
    json::object line{{"run", to_string(last.id)}, {"workflow", last.workflow}};
    put_text(line, "foreign_id", last.foreign_id);
    line["version"] = last.version;
    line["state"] = to_string(last.state);
    line["status"] = last.status;
    put_text(line, "reason", last.reason);
    put_text(line, "last_error", last.last_error);
    put_text(line, "requested_by", last.requested_by);
    put_text(line, "start_key", last.start_key);
    put_text(line, "trace_parent", last.trace_parent);
    line["created_at"] = text_of(last.created_at);
    line["updated_at"] = text_of(last.updated_at);
    line["object_version"] = last.object_version;
    const auto object = exact_json(last.object);
    if (!object)
        line["object_base64"] = base64(last.object);
    json::array history;
    for (const auto& entry : run.history)
        history.push_back(line_of(entry));
    line["history"] = std::move(history);
    auto text = json::serialize(line);
    if (object)
        text.insert(text.size() - 1, ",\"object\":" + *object);
    return text + '\n';
}

/// Whether a crash may have left this text after the last newline: the beginning of a line,
/// followed by zeros if the power failed before its bytes were written.
bool is_torn_line(std::string_view text)
{
    const auto written = text.substr(0, text.find('\0'));
    return written.substr(0, line_beginning.size()) == line_beginning.substr(0, written.size()) &&
           text.find_first_not_of('\0', written.size()) == text.npos;
}

bool is_whole_line(std::string_view text)
{
    boost::system::error_code failure;
    json::parse(text, failure, {}, {.max_depth = 2 * detail::max_json_depth});
    return !failure && text.starts_with('{');
}

/// A file descriptor, closed when it is destroyed.
class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int number) noexcept : number_(number) {}
    ~descriptor() { close(); }

    descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        close();
        number_ = std::exchange(other.number_, -1);
        return *this;
    }

    explicit operator bool() const noexcept { return number_ >= 0; }
    int get() const noexcept { return number_; }

private:
    void close() noexcept
    {
        if (number_ >= 0)
            ::close(number_);
    }

    int number_ = -1;
};

/// Releases a lock of flock(). A child process that shares the open file loses it too.
class held_lock {
public:
    explicit held_lock(int file) noexcept : file_(file) {}
    ~held_lock() { ::flock(file_, LOCK_UN); }

    held_lock(const held_lock&) = delete;
    held_lock& operator=(const held_lock&) = delete;

private:
    const int file_;
};

/// A file of lines to which other objects and processes may append too. Each locks it while it
/// writes a batch. Used by one thread at a time.
class line_file {
public:
    explicit line_file(std::string path) : path_(std::move(path))
    {
        // The working folder may change before the file is opened again.
        std::error_code failure;
        if (const auto absolute = std::filesystem::absolute(path_, failure); !failure)
            path_ = absolute.string();
        open();
    }

    /// Throws error; then the file has none of the lines.
    void append(std::string_view lines)
    {
        lock();
        const held_lock locked{file_.get()};
        const auto end = repair_last_line();
        try {
            write(lines);
            if (::fdatasync(file_.get()) != 0)
                fail(errc::store_unavailable, "cannot be flushed");
        } catch (...) {
            // If truncation fails, the lines are archived twice; a partial line is removed later.
            [[maybe_unused]] const int ignored = ::ftruncate(file_.get(), end);
            throw;
        }
    }

private:
    /// A batch takes milliseconds; a process that holds the lock for longer hangs.
    static constexpr std::chrono::milliseconds lock_timeout{10'000};
    static constexpr std::chrono::milliseconds lock_interval{5};

    void open()
    {
        file_ = descriptor{
            ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666)};
        if (!file_)
            fail(errno == EMFILE || errno == ENFILE ? errc::store_unavailable
                                                    : errc::store_read_only,
                 "cannot be opened");
        if (!S_ISREG(status().st_mode))
            throw error{errc::store_read_only, path_ + " is not a regular file"};
        flush_folder();
    }

    /// The name of a new file must be as durable as its lines.
    void flush_folder()
    {
        std::error_code ignored;
        const auto real = std::filesystem::canonical(path_, ignored);
        const descriptor folder{
            ::open(real.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        // Not every file system supports it, and not every user has the right.
        if (folder && ::fsync(folder.get()) != 0 && errno != EINVAL)
            fail(errc::store_unavailable, "cannot be flushed");
    }

    /// Locks the file at the path. The open file may have been removed or renamed; then it is
    /// reopened.
    void lock()
    {
        for (int attempt = 0; attempt < 10; ++attempt) {
            if (!file_)
                open();
            lock_open_file();
            if (has_its_name())
                return;
            file_ = {};
        }
        throw error{errc::store_unavailable,
                    path_ + " is replaced repeatedly while it is being locked"};
    }

    void lock_open_file()
    {
        for (auto waited = 0 * lock_interval; ::flock(file_.get(), LOCK_EX | LOCK_NB) != 0;
             waited += lock_interval) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                fail(errc::store_unavailable, "cannot be locked");
            if (waited >= lock_timeout)
                fail(errc::store_unavailable,
                     "is locked by another process (find it with lslocks or fuser)");
            std::this_thread::sleep_for(lock_interval);
        }
    }

    bool has_its_name() const
    {
        struct stat named{};
        const auto opened = status();
        return ::stat(path_.c_str(), &named) == 0 && named.st_dev == opened.st_dev &&
               named.st_ino == opened.st_ino;
    }

    struct stat status() const
    {
        struct stat opened{};
        if (::fstat(file_.get(), &opened) != 0)
            fail(errc::store_unavailable, "cannot be read");
        return opened;
    }

    /// Makes the file end with a whole line, and returns its size.
    ::off_t repair_last_line()
    {
        const ::off_t size = status().st_size;
        const auto begin = begin_of_last_line(size);
        if (begin == size)
            return size;
        // 64 bytes suffice to recognize a file that is not an archive.
        const auto beginning = read(begin, std::min<::off_t>(size, begin + 64));
        const auto rest =
            is_torn_line(beginning) || beginning.starts_with('{') ? read(begin, size) : beginning;
        if (is_whole_line(rest)) {
            write("\n");
            return size + 1;
        }
        if (!is_torn_line(rest))
            throw error{errc::store_corrupt,
                        path_ + " does not end with a line of an archive: end the last line with "
                                "a newline, or give another file"};
        if (::ftruncate(file_.get(), begin) != 0)
            fail(errc::store_read_only, "cannot be cut to its last whole line");
        return begin;
    }

    /// Returns the position after the last newline.
    ::off_t begin_of_last_line(::off_t end) const
    {
        constexpr ::off_t block = 64 * 1024;
        while (end > 0) {
            const auto begin = std::max<::off_t>(0, end - block);
            const auto newline = read(begin, end).rfind('\n');
            if (newline != std::string::npos)
                return begin + static_cast<::off_t>(newline) + 1;
            end = begin;
        }
        return 0;
    }

    std::string read(::off_t begin, ::off_t end) const
    {
        std::string bytes(static_cast<std::size_t>(end - begin), '\0');
        for (std::size_t filled = 0; filled < bytes.size();) {
            const auto count = ::pread(file_.get(), bytes.data() + filled, bytes.size() - filled,
                                       begin + static_cast<::off_t>(filled));
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                fail(errc::store_unavailable, "cannot be read");
            if (count == 0)
                throw error{errc::store_unavailable, path_ + " became shorter while it was read"};
            filled += static_cast<std::size_t>(count);
        }
        return bytes;
    }

    void write(std::string_view bytes) const
    {
        while (!bytes.empty()) {
            const auto count = ::write(file_.get(), bytes.data(), bytes.size());
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                fail(errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? errc::store_full
                                                                          : errc::store_unavailable,
                     "cannot be written");
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    [[noreturn]] void fail(errc code, const char* failure) const
    {
        const int number = errno;
        throw error{code, path_ + " " + failure + ": " + std::generic_category().message(number)};
    }

    std::string path_;
    descriptor file_;
};

class json_lines final : public archiver {
public:
    explicit json_lines(std::string path) : file_(std::move(path)) {}

    ~json_lines() override { thread_.join(); }

    asio::awaitable<void> archive(std::span<const archived_run> runs) override
    {
        std::string lines;
        for (const auto& run : runs)
            lines += line_of(run);
        // The destructor waits for the thread, so this object outlives the function, even if the
        // caller was cancelled.
        co_await offload(thread_.get_executor(),
                         [this, lines = std::move(lines)] { file_.append(lines); });
    }

private:
    line_file file_;
    asio::thread_pool thread_{1};
};

} // namespace

std::shared_ptr<archiver> json_lines_archive(std::string path)
{
    return std::make_shared<json_lines>(std::move(path));
}

} // namespace pawl
