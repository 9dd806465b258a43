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

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace pawl {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string text_of(time_point at)
{
    std::string text;
    codec<time_point>::encode(at, text);
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

/// Texts come from anywhere; a line must be JSON all the same.
json::value safe(const std::string& text)
{
    boost::system::error_code problem;
    json::parse(json::serialize(json::value(text)), problem);
    return problem ? json::value(base64(text)) : json::value(text);
}

json::object line_of(const event& what)
{
    json::object line{
        {"version", what.version}, {"kind", to_string(what.kind)},   {"from", what.from},
        {"to", what.to},           {"state", to_string(what.state)}, {"attempt", what.attempt},
        {"at", text_of(what.at)}};
    if (!what.error.empty())
        line["error"] = safe(what.error);
    if (!what.requested_by.empty())
        line["requested_by"] = safe(what.requested_by);
    return line;
}

/// The document in one line, its numbers as they are: Boost's own parser is inexact. Empty when it
/// is no JSON that Pawl reads.
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

std::string line_of(const archived_run& run)
{
    const auto& last = run.last;
    json::object line{{"run", to_string(last.id)},
                      {"workflow", last.workflow},
                      {"foreign_id", safe(last.foreign_id)},
                      {"version", last.version},
                      {"state", to_string(last.state)},
                      {"status", last.status},
                      {"reason", safe(last.reason)},
                      {"last_error", safe(last.last_error)},
                      {"requested_by", safe(last.requested_by)},
                      {"start_key", safe(last.start_key)},
                      {"trace_parent", safe(last.trace_parent)},
                      {"created_at", text_of(last.created_at)},
                      {"updated_at", text_of(last.updated_at)},
                      {"object_version", last.object_version}};
    const auto object = exact_json(last.object);
    if (!object)
        line["object_base64"] = base64(last.object);
    json::array history;
    for (const auto& what : run.history)
        history.push_back(line_of(what));
    line["history"] = std::move(history);
    auto text = json::serialize(line);
    if (object)
        text.insert(text.size() - 1, ",\"object\":" + *object);
    return text + '\n';
}

class json_lines final : public archiver {
public:
    explicit json_lines(std::string path) : path_(std::move(path))
    {
        file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file_ < 0)
            fail(errc::store_read_only, "cannot be opened");
        cut_torn_line();
    }

    ~json_lines() override
    {
        thread_.join();
        ::close(file_);
    }

    asio::awaitable<void> archive(std::span<const archived_run> runs) override
    {
        std::string lines;
        for (const auto& run : runs)
            lines += line_of(run);
        // The destructor waits for the thread, so this object is there as long as the function
        // runs, also when its caller was cancelled.
        co_await offload(thread_.get_executor(),
                         [this, lines = std::move(lines)] { write(lines); });
    }

private:
    void write(const std::string& lines)
    {
        std::string_view rest = lines;
        while (!rest.empty()) {
            const auto written =
                ::pwrite(file_, rest.data(), rest.size(), end_ + (lines.size() - rest.size()));
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                fail(errno == ENOSPC ? errc::store_full : errc::store_unavailable,
                     "cannot be written");
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
        if (::fdatasync(file_) != 0)
            fail(errc::store_unavailable, "cannot be flushed");
        end_ += static_cast<::off_t>(lines.size());
    }

    void cut_torn_line()
    {
        end_ = ::lseek(file_, 0, SEEK_END);
        char last = 0;
        while (end_ > 0 && ::pread(file_, &last, 1, end_ - 1) == 1 && last != '\n')
            --end_;
        if (::ftruncate(file_, end_) != 0)
            fail(errc::store_read_only, "cannot be written");
    }

    [[noreturn]] void fail(errc code, const char* why) const
    {
        throw error{code, path_ + " " + why + ": " + std::strerror(errno)};
    }

    const std::string path_;
    int file_ = -1;
    ::off_t end_ = 0; ///< of the last whole batch
    asio::thread_pool thread_{1};
};

} // namespace

std::shared_ptr<archiver> json_lines_archive(std::string path)
{
    return std::make_shared<json_lines>(std::move(path));
}

} // namespace pawl
