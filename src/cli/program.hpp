#pragma once

#include "cli/command.hpp"
#include "cli/transport.hpp"

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace pawl::cli {

using transport_factory =
    std::function<std::unique_ptr<transport>(boost::asio::any_io_executor, endpoint)>;

/// Runs the program `pawl` with the arguments behind its name, and returns its exit code. It never
/// waits for an answer at the terminal, and writes no colors.
int run_program(std::vector<std::string> arguments, const environment& variables, std::ostream& out,
                std::ostream& errors, const transport_factory& connect = make_transport);

} // namespace pawl::cli
