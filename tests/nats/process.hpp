#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

/// A program that runs beside the test. It is killed with this object, or when the test ends,
/// however it ends.
class process {
public:
    /// @param variables added to the environment, as "NAME=value".
    explicit process(std::vector<std::string> command, std::vector<std::string> variables = {});
    ~process();

    process(const process&) = delete;
    process& operator=(const process&) = delete;

    /// Waits until the program has written this text. Throws what it wrote if it ends before.
    void wait_for(const std::string& text);

    void kill();

private:
    void read_output();

    pid_t id_ = -1;
    int output_end_ = -1;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string output_;
    bool has_ended_ = false;
    std::thread reader_;
};
