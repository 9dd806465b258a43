#pragma once

#include "pawl/client.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"

#include <boost/describe.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdint>

#include <sys/wait.h>
#include <unistd.h>

/// What the tests of transactions work on: a run books one entry in a table of the program's.
namespace transfers {

enum class stage { open = 1, booked };
BOOST_DESCRIBE_ENUM(stage, open, booked)

struct transfer {
    int amount = 0;
    std::int64_t entry = 0; ///< that was booked
};
BOOST_DESCRIBE_STRUCT(transfer, (), (amount, entry))

using transfer_run = pawl::run<transfer>;
using transfer_step = pawl::step<stage::booked>;
using transfer_client = pawl::client<transfer, stage>;

/// Calls `work(pipe)` in a child process, which must not return, and kills the child once it has
/// written `marks` bytes to the pipe.
template <class Work>
void run_and_kill(int marks, Work work)
{
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
        ::close(ends[0]);
        work(ends[1]);
        ::_exit(1);
    }
    ::close(ends[1]);
    char mark = 0;
    for (int i = 0; i < marks && ::read(ends[0], &mark, 1) == 1; ++i)
        ;
    ::kill(child, SIGKILL);
    ::close(ends[0]);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

} // namespace transfers
