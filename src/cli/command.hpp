#pragma once

#include "pawl/admin/authenticator.hpp"
#include "pawl/http/client.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::cli {

enum class output_format { table, json, jsonl, ids };

/// What a column or a line shows.
enum class cell_kind : std::uint8_t {
    text,
    number, ///< to the right
    time,
    list, ///< texts, separated by commas
};

struct column {
    std::string_view title;
    std::string_view pointer; ///< JSON pointer within the item
    cell_kind kind = cell_kind::text;
};

/// How an answer is shown.
struct layout {
    /// JSON pointer to the list of items; empty: the answer is one item.
    std::string_view items{};

    std::vector<column> columns{};
    std::string_view id{}; ///< JSON pointer within an item, for output_format::ids

    /// Of one item: the JSON pointer of a value that is shown alone and as it was sent.
    std::string_view raw{};
};

/// Where Pawl is.
struct endpoint {
    std::string url;      ///< of the admin API's prefix, or unix:PATH
    std::string prefix;   ///< of the API behind a Unix socket
    std::string token;    ///< bearer token
    std::string ca_file;  ///< see client_options::ca_file
    std::string database; ///< postgres://… or a file of SQLite; then `url` is empty
    std::string user;     ///< who opens the database
};

/// A token to make.
struct token_request {
    std::string name;
    admin::role granted = admin::role::viewer;
    std::string expires; ///< RFC 3339; empty: never
};

/// What the command line asks for.
struct command {
    endpoint where;
    http::client_request request; ///< the target is below PREFIX/api/v1
    layout shown;
    output_format format = output_format::table;
    bool utc = false;
    bool all_pages = false;

    /// Set: nothing is sent; a new line of a token file is printed.
    std::optional<token_request> new_token;

    /// The exit code is not_ready if the answer has `ready` false.
    bool checks_readiness = false;
};

/// Reads a variable of the environment; empty if it is not set.
using environment = std::function<std::string(const std::string& name)>;

/// The command line, read: a command, or a text to print with an exit code.
struct parsed_command {
    std::optional<command> wanted;
    int exit_code = 0;
    std::string text; ///< help to standard output (exit code 0), or an error to standard error
};

/// Reads the arguments behind the program's name. Files that are named in them are read.
parsed_command parse_command(std::vector<std::string> arguments, const environment& variables);

} // namespace pawl::cli
