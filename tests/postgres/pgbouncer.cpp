#include "postgres/pgbouncer.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

void check(bool succeeded, const char* what)
{
    if (!succeeded)
        throw std::system_error{errno, std::generic_category(), what};
}

/// PgBouncer, which sets SO_REUSEADDR too, may listen on the port of this socket; nobody else gets
/// it.
int reserve_port(std::uint16_t& port)
{
    const int reserved = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(reserved >= 0, "socket");
    const int on = 1;
    check(::setsockopt(reserved, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "setsockopt");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const at = reinterpret_cast<sockaddr*>(&address);
    check(::bind(reserved, at, size) == 0, "bind");
    check(::getsockname(reserved, at, &size) == 0, "getsockname");
    port = ntohs(address.sin_port);
    return reserved;
}

/// It ends when this thread does; not as root, as which it refuses to run.
pid_t spawn(std::vector<std::string> command, int output)
{
    std::vector<std::string> words{PAWL_SETPRIV, "--pdeathsig=KILL"};
    if (::geteuid() == 0)
        words.insert(words.end(), {"--reuid=postgres", "--regid=postgres", "--clear-groups"});
    words.insert(words.end(), command.begin(), command.end());
    std::vector<char*> arguments;
    for (auto& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    pid_t child = -1;
    errno = ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    check(errno == 0, "posix_spawn");
    return child;
}

} // namespace

pgbouncer::pgbouncer(const postgres_server& server, const std::string& settings)
    : reserved_(reserve_port(port_))
{
    auto folder = (std::filesystem::temp_directory_path() / "pawl-pgbouncer-XXXXXX").string();
    check(::mkdtemp(folder.data()) != nullptr, "mkdtemp");
    folder_ = folder;
    std::filesystem::permissions(folder_, std::filesystem::perms{0755});
    std::ofstream{folder_ / "users.txt"} << "\"postgres\" \"\"\n";
    std::ofstream{folder_ / "pgbouncer.ini"} << fmt::format(
        "[databases]\n"
        "* = host={} port={}\n"
        "[pgbouncer]\n"
        "listen_addr = 127.0.0.1\n"
        "listen_port = {}\n"
        "unix_socket_dir =\n"
        "auth_type = trust\n"
        "auth_file = {}\n"
        "log_connections = 0\n"
        "log_disconnections = 0\n"
        "log_pooler_errors = 0\n"
        "log_stats = 0\n"
        "{}\n",
        server.folder(), server.port(), port_, (folder_ / "users.txt").string(), settings);
    start();
}

pgbouncer::~pgbouncer()
{
    stop();
    ::close(reserved_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string pgbouncer::uri() const
{
    return fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres sslmode=disable "
                       "gssencmode=disable",
                       port_);
}

void pgbouncer::start()
{
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
    process_ = spawn({PAWL_PGBOUNCER, folder_ / "pgbouncer.ini"}, ends[1]);
    ::close(ends[1]);
    log_ = ends[0];
    // What it logs after that fits into the pipe.
    std::string log;
    while (log.find("process up") == log.npos) {
        std::array<char, 4096> part{};
        const auto count = ::read(log_, part.data(), part.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            throw std::runtime_error{"PgBouncer did not start: " + log};
        log.append(part.data(), static_cast<std::size_t>(count));
    }
}

void pgbouncer::stop()
{
    if (process_ <= 0)
        return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
    ::close(log_);
}
