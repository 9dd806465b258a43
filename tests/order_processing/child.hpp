#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace order_processing::testing {

/// A program that runs beside the test; killed at the end if it still does.
class child {
public:
    /// @param variables Added to this process's environment, as "NAME=value".
    child(const std::string& program, const std::vector<std::string>& arguments,
          const std::vector<std::string>& variables = {});
    ~child();
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    /// The next line of its standard output, without the end; "" when the output has ended.
    std::string read_line();

    void signal(int number);

    /// Waits for its end. The exit status; 128 and the signal's number when one ended it.
    int wait();

    /// What came on standard output after the lines read, and on standard error; after wait().
    std::string output;
    std::string errors;

private:
    pid_t id_ = -1;
    int output_end_ = -1;
    int error_end_ = -1;
};

} // namespace order_processing::testing
