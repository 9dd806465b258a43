#include "nats/process.hpp"

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
    std::vector<char*> pointers;
    for (auto& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace

process::process(std::vector<std::string> command, std::vector<std::string> variables)
{
    for (char** each = environ; *each != nullptr; ++each)
        variables.emplace_back(*each);
    const auto arguments = pointers_to(command);
    const auto environment = pointers_to(variables);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        throw std::runtime_error{"no pipe can be made"};
    id_ = ::fork();
    if (id_ == 0) { // nothing may be allocated here
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(ends[1], STDOUT_FILENO);
        ::dup2(ends[1], STDERR_FILENO);
        ::execve(arguments.front(), arguments.data(), environment.data());
        ::_exit(127);
    }
    ::close(ends[1]);
    output_end_ = ends[0];
    reader_ = std::thread{[this] {
        read_output();
    }};
}

process::~process()
{
    kill();
}

void process::kill()
{
    if (id_ <= 0)
        return;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    id_ = -1;
    reader_.join();
    ::close(output_end_);
}

void process::read_output()
{
    char part[4096];
    for (;;) {
        const auto count = ::read(output_end_, part, sizeof part);
        if (count < 0 && errno == EINTR)
            continue;
        const std::lock_guard lock{mutex_};
        has_ended_ = count <= 0;
        if (count > 0)
            output_.append(part, static_cast<std::size_t>(count));
        changed_.notify_all();
        if (has_ended_)
            return;
    }
}

void process::wait_for(const std::string& text)
{
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return has_ended_ || output_.find(text) != std::string::npos; });
    if (output_.find(text) == std::string::npos)
        throw std::runtime_error{"the program has ended: " + output_};
}
