#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

/// A PostgreSQL server with an empty cluster in a temporary folder. It ends with this object, or
/// with the process, however that ends. As root it runs as the user postgres, because it refuses to
/// run as root.
class postgres_server {
public:
    /// Whether PostgreSQL's programs are where they were when this was built.
    static bool is_installed();

    /// The path of one of PostgreSQL's programs.
    static std::string program(const std::string& name);

    /// More settings, as "name=value". Durability is off unless they turn it on. The folder is made
    /// in `parent`.
    explicit postgres_server(
        std::vector<std::string> settings = {},
        const std::filesystem::path& parent = std::filesystem::temp_directory_path());

    /// A standby of `primary`, from a copy of its data, which follows it from now on under this
    /// name. The primary has the setting wal_level=replica.
    postgres_server(const postgres_server& primary, const std::string& name);
    ~postgres_server();

    postgres_server(const postgres_server&) = delete;
    postgres_server& operator=(const postgres_server&) = delete;

    /// Of its superuser, who needs no password, over its socket in the file system.
    std::string uri(const std::string& database = "postgres") const;

    /// Where its socket is.
    std::string folder() const { return folder_.string(); }

    /// Of its socket there, and of the one on 127.0.0.1, where users need passwords.
    std::uint16_t port() const noexcept { return port_; }

    /// Begins it again as after a crash: what was not committed is gone, and all connections are.
    void restart_at_once();
    void stop_at_once();
    void start();

    /// Ends a standby's following: it takes writes when this returns.
    void promote() const;

    /// Comes back as a standby of `primary` under this name, where it was before, with a copy of
    /// the primary's data in place of its own.
    void become_standby(const postgres_server& primary, const std::string& name);

    /// Stops all of its processes where they are, as a machine that hangs.
    void freeze();
    void thaw();

    /// What it wrote to its log so far.
    std::string log() const;

private:
    void run(const std::vector<std::string>& command) const;
    void copy_data(const postgres_server& primary, const std::string& name);
    void read_log(int from);

    std::filesystem::path folder_;
    std::vector<std::string> settings_;
    std::uint16_t port_ = 0;
    pid_t process_ = -1;
    std::vector<pid_t> frozen_;
    std::thread reader_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::string log_;
    bool is_ready_ = false;
    bool has_ended_ = false;
};
