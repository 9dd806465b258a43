#include "cli/program.hpp"

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv)
{
    const auto variable = [](const std::string& name) {
        const char* const value = std::getenv(name.c_str());
        return std::string{value == nullptr ? "" : value};
    };
    return pawl::cli::run_program({argv + 1, argv + argc}, variable, std::cout, std::cerr);
}
