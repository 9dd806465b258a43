#include "order_processing/child.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

namespace order_processing::testing {

namespace {

struct pipe_ends {
    int read = -1;
    int write = -1;
};

pipe_ends make_pipe()
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        throw std::runtime_error("no pipe can be made");
    return {ends[0], ends[1]};
}

std::string read_to_end(int from)
{
    std::string all;
    char bytes[4096];
    for (ssize_t size = 0; (size = read(from, bytes, sizeof bytes)) > 0;)
        all.append(bytes, static_cast<std::size_t>(size));
    return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
    std::vector<char*> pointers;
    for (auto& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace

child::child(const std::string& program, const std::vector<std::string>& arguments,
             const std::vector<std::string>& variables)
{
    auto words = arguments;
    words.insert(words.begin(), program);
    auto environment = variables;
    for (char** each = environ; *each != nullptr; ++each)
        environment.emplace_back(*each);

    const auto out = make_pipe();
    const auto err = make_pipe();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
    const int failed = posix_spawn(&id_, program.c_str(), &actions, nullptr,
                                   pointers_to(words).data(), pointers_to(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    close(out.write);
    close(err.write);
    output_end_ = out.read;
    error_end_ = err.read;
    if (failed != 0) {
        id_ = -1;
        throw std::runtime_error(program + " cannot be run");
    }
}

child::~child()
{
    if (id_ > 0) {
        kill(id_, SIGKILL);
        waitpid(id_, nullptr, 0);
    }
    close(output_end_);
    close(error_end_);
}

std::string child::read_line()
{
    std::string line;
    for (char c = 0; read(output_end_, &c, 1) == 1 && c != '\n';)
        line.push_back(c);
    return line;
}

void child::signal(int number)
{
    if (id_ > 0) // what has been waited for is nobody, and -1 is everybody
        kill(id_, number);
}

int child::wait()
{
    // The programs under test write little to standard error: it cannot fill its pipe meanwhile.
    output = read_to_end(output_end_);
    errors = read_to_end(error_end_);
    int status = 0;
    waitpid(id_, &status, 0);
    id_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace order_processing::testing
