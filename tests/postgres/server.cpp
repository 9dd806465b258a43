#include "postgres/server.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

const std::string programs = PAWL_POSTGRES_FOLDER;
const std::string folder_prefix = "pawl-postgres-";

[[noreturn]] void fail(const std::string& what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

/// Whom the server runs as; null: as whoever we are.
const passwd* server_user()
{
    if (::geteuid() != 0)
        return nullptr;
    const passwd* user = ::getpwnam("postgres");
    if (!user)
        throw std::runtime_error{"PostgreSQL does not run as root, and there is no user postgres"};
    return user;
}

/// Folders of processes that were killed.
void remove_old_folders(const std::filesystem::path& parent)
{
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator{parent, ignored}) {
        const auto name = entry.path().filename().string();
        if (!name.starts_with(folder_prefix))
            continue;
        const auto owner = std::atoi(name.c_str() + folder_prefix.size());
        if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH)
            std::filesystem::remove_all(entry.path(), ignored);
    }
}

std::filesystem::path make_folder(const std::filesystem::path& parent, const passwd* owner)
{
    remove_old_folders(parent);
    auto name = (parent / (folder_prefix + std::to_string(::getpid()) + "-XXXXXX")).string();
    if (!::mkdtemp(name.data()))
        fail("mkdtemp");
    if (owner && ::chown(name.c_str(), owner->pw_uid, owner->pw_gid) != 0)
        fail("chown");
    return name;
}

std::uint16_t free_port()
{
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (probe < 0 || ::bind(probe, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        fail("looking for a free port");
    ::close(probe);
    return ntohs(address.sin_port);
}

/// Runs in the child, where nothing may be allocated.
[[noreturn]] void become(char* const* command, const passwd* user, int output)
{
    ::setpgid(0, 0); // an interrupt at the terminal is for the test
    if (user && (::setgid(user->pw_gid) != 0 || ::setgroups(0, nullptr) != 0 ||
                 ::setuid(user->pw_uid) != 0))
        ::_exit(126);
    // After the change of user, which would forget it: when the test dies, the server goes too.
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    if (::chdir("/") != 0)
        ::_exit(126);
    ::execv(command[0], command);
    ::_exit(127);
}

pid_t spawn(std::vector<std::string> command, int output)
{
    std::vector<char*> arguments;
    for (auto& each : command)
        arguments.push_back(each.data());
    arguments.push_back(nullptr);
    const passwd* user = server_user();
    const pid_t child = ::fork();
    if (child < 0)
        fail("fork");
    if (child == 0)
        become(arguments.data(), user, output);
    return child;
}

} // namespace

bool postgres_server::is_installed()
{
    return ::access(program("initdb").c_str(), X_OK) == 0 &&
           ::access(program("postgres").c_str(), X_OK) == 0;
}

std::string postgres_server::program(const std::string& name)
{
    return programs + "/" + name;
}

postgres_server::postgres_server(std::vector<std::string> settings,
                                 const std::filesystem::path& parent)
    : folder_(make_folder(parent, server_user())), settings_(std::move(settings))
{
    run({program("initdb"), "-D", folder_ / "data", "-U", "postgres", "--auth-local=trust",
         "--auth-host=scram-sha-256", "--no-sync", "--no-instructions", "-E", "UTF8",
         "--locale=C"});
    start();
}

postgres_server::postgres_server(const postgres_server& primary, const std::string& name)
    : folder_(make_folder(std::filesystem::temp_directory_path(), server_user())),
      settings_(primary.settings_)
{
    copy_data(primary, name);
    start();
}

/// And follows the primary once it is started.
void postgres_server::copy_data(const postgres_server& primary, const std::string& name)
{
    const std::string follow = "primary_conninfo=";
    const auto source = "host=" + primary.folder() + " port=" + std::to_string(primary.port()) +
                        " user=postgres application_name=" + name;
    run({program("pg_basebackup"), "-D", folder_ / "data", "-R", "-X", "stream", "-c", "fast",
         "--no-sync", "-d", source});
    std::erase_if(settings_, [&](const std::string& each) { return each.starts_with(follow); });
    settings_.push_back(follow + source);
}

void postgres_server::become_standby(const postgres_server& primary, const std::string& name)
{
    stop_at_once();
    std::filesystem::remove_all(folder_ / "data");
    copy_data(primary, name);
    start();
}

postgres_server::~postgres_server()
{
    stop_at_once();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string postgres_server::uri(const std::string& database) const
{
    return "postgresql:///" + database + "?user=postgres&port=" + std::to_string(port_) +
           "&host=" + folder_.string();
}

void postgres_server::run(const std::vector<std::string>& command) const
{
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const pid_t child = spawn(command, null);
    ::close(null);
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0)
        throw std::runtime_error{command.front() + " failed"};
}

void postgres_server::start()
{
    if (port_ == 0)
        port_ = free_port();
    std::vector<std::string> command{program("postgres"),
                                     "-D",
                                     folder_ / "data",
                                     "-k",
                                     folder_.string(),
                                     "-p",
                                     std::to_string(port_),
                                     "-c",
                                     "listen_addresses=127.0.0.1",
                                     "-c",
                                     "fsync=off",
                                     "-c",
                                     "full_page_writes=off",
                                     "-c",
                                     "wal_level=minimal",
                                     "-c",
                                     "max_wal_senders=0",
                                     "-c",
                                     "shared_buffers=32MB",
                                     "-c",
                                     "lc_messages=C"};
    for (const auto& each : settings_) {
        command.emplace_back("-c");
        command.push_back(each);
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        fail("pipe2");
    is_ready_ = has_ended_ = false;
    process_ = spawn(std::move(command), ends[1]);
    ::close(ends[1]);
    reader_ = std::thread{[this, from = ends[0]] {
        read_log(from);
    }};
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return is_ready_ || has_ended_; });
    if (!is_ready_)
        throw std::runtime_error{"PostgreSQL did not start: " + log_};
}

void postgres_server::read_log(int from)
{
    std::string line;
    char part[4096];
    for (;;) {
        const auto count = ::read(from, part, sizeof part);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        line.append(part, static_cast<std::size_t>(count));
        const std::lock_guard lock{mutex_};
        for (const auto* words :
             {"ready to accept connections", "ready to accept read-only connections"})
            is_ready_ = is_ready_ || line.find(words) != line.npos;
        log_.append(part, static_cast<std::size_t>(count));
        changed_.notify_all();
    }
    ::close(from);
    const std::lock_guard lock{mutex_};
    has_ended_ = true;
    changed_.notify_all();
}

void postgres_server::promote() const
{
    run({program("pg_ctl"), "promote", "-w", "-D", folder_ / "data"});
}

void postgres_server::freeze()
{
    ::kill(process_, SIGSTOP); // it begins no more of them
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
        const auto number = std::atoi(entry.path().filename().c_str());
        std::ifstream stat{entry.path() / "stat"};
        std::string text;
        std::getline(stat, text);
        const auto name_end = text.rfind(')');
        if (number <= 0 || name_end == std::string::npos)
            continue;
        char state = 0;
        int parent = 0;
        std::istringstream{text.substr(name_end + 1)} >> state >> parent;
        if (parent == process_ && ::kill(number, SIGSTOP) == 0)
            frozen_.push_back(number);
    }
    frozen_.push_back(process_);
}

void postgres_server::thaw()
{
    for (const auto each : frozen_)
        ::kill(each, SIGCONT);
    frozen_.clear();
}

void postgres_server::stop_at_once()
{
    if (process_ <= 0)
        return;
    ::kill(process_, SIGQUIT);
    // What stood still must not do anything more.
    for (const auto each : frozen_)
        if (each != process_)
            ::kill(each, SIGKILL);
    thaw();
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
    reader_.join();
}

void postgres_server::restart_at_once()
{
    stop_at_once();
    start();
}

std::string postgres_server::log() const
{
    const std::lock_guard lock{mutex_};
    return log_;
}
