#pragma once

#include "cli/command.hpp"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pawl::cli {

/// Adds subcommands that send a request, and fills in the request when one of them is parsed.
class verb_builder {
public:
    /// The texts of the options of one subcommand; they live as long as the command line.
    struct texts {
        std::vector<std::pair<std::string, std::string>> query;
        std::vector<std::pair<std::string, std::string>> path;
        std::vector<std::pair<std::string, std::string>> body;      ///< members that are texts
        std::vector<std::pair<std::string, std::string>> documents; ///< members that are JSON
        std::string key;
        std::string version;
        bool is_dry_run = false; ///< the member dry_run of the body
    };

    /// `wanted` outlives this object.
    explicit verb_builder(command& wanted) : wanted_(wanted) {}

    CLI::App* add(CLI::App& group, const char* name, const char* about);
    texts& texts_of();
    void add_path(CLI::App& verb, texts& values, const char* name, const char* about);
    void add_query(CLI::App& verb, texts& values, const char* option, const char* name,
                   const char* about);
    void add_body(CLI::App& verb, texts& values, const char* option, const char* name,
                  const char* about, bool required = false);
    void add_document(CLI::App& verb, texts& values, const char* option, const char* name,
                      const char* about, bool required = false);
    void send(CLI::App& verb, texts& values, std::string method, std::string pattern, layout shown);

private:
    command& wanted_;
    std::vector<std::unique_ptr<texts>> texts_;
};

} // namespace pawl::cli
