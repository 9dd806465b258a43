#include "pawl/admin/authenticator.hpp"
#include "pawl/codec.hpp"
#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <vector>

#include <openssl/evp.h>
#include <openssl/rand.h>

namespace pawl::admin {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view hash_prefix = "sha256:";
constexpr std::size_t hash_digits = 64;
constexpr std::size_t max_tokens = 1'000;
constexpr std::size_t max_token_size = 512;

/// Faulty lines of a file that has changed; those after them are not read.
constexpr std::size_t max_faults = 100;

constexpr duration check_interval = std::chrono::seconds{1};

/// A hash without salt and stretching is enough for a token of 256 random bits.
std::string hash_of(std::string_view token)
{
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(token.data(), token.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("SHA-256 is not available");
    std::string text;
    for (unsigned i = 0; i < size; ++i)
        text += fmt::format("{:02x}", digest[i]);
    return text;
}

struct token_entry {
    std::string name;
    role granted = role::viewer;
    std::string hash; ///< hexadecimal
    std::optional<time_point> expires;
};

token_entry read_entry(const std::string& line)
{
    std::istringstream words(line);
    std::string role_name;
    std::string hash;
    std::string expires;
    std::string rest;
    token_entry entry;
    words >> entry.name >> role_name >> hash >> expires >> rest;
    const auto granted = parse_role(role_name);
    if (!granted)
        throw definition_error(
            fmt::format("the role is '{}'; it must be viewer, operator or admin", role_name));
    if (!hash.starts_with(hash_prefix) || hash.size() != hash_prefix.size() + hash_digits ||
        hash.find_first_not_of("0123456789abcdef", hash_prefix.size()) != hash.npos)
        throw definition_error("the third word must be sha256: and 64 hexadecimal digits");
    entry.granted = *granted;
    entry.hash = hash.substr(hash_prefix.size());
    if (!expires.empty()) {
        try {
            entry.expires = codec<time_point>::decode('"' + expires + '"');
        } catch (const std::exception&) {
            throw definition_error(fmt::format(
                "the expiry is '{}'; it must be a time such as 2027-01-31T00:00:00Z", expires));
        }
    }
    if (!rest.empty())
        throw definition_error("a line has at most four words: NAME ROLE sha256:HEX EXPIRY");
    return entry;
}

void add_entry(std::vector<token_entry>& entries, const std::string& line)
{
    auto added = read_entry(line);
    if (std::ranges::count(entries, added.name, &token_entry::name) >= 2)
        throw definition_error("a name has at most two tokens, so that one can replace the other");
    if (std::ranges::find(entries, added.hash, &token_entry::hash) != entries.end())
        throw definition_error("the token is there already");
    if (entries.size() >= max_tokens)
        throw definition_error(fmt::format("a file has at most {} tokens", max_tokens));
    entries.push_back(std::move(added));
}

/// What a token file says, and what is wrong in it.
struct token_list {
    std::vector<token_entry> entries;
    std::vector<std::string> faults;
};

token_list read_tokens(const std::string& file)
{
    token_list found;
    std::ifstream in{file};
    if (!in) {
        found.faults.push_back(fmt::format("the token file '{}' cannot be read", file));
        return found;
    }
    std::string line;
    for (int number = 1; std::getline(in, line) && found.faults.size() < max_faults; ++number) {
        const auto begin = line.find_first_not_of(" \t\r");
        if (begin == line.npos || line[begin] == '#')
            continue;
        try {
            add_entry(found.entries, line);
        } catch (const definition_error& fault) {
            found.faults.push_back(fmt::format("{}:{}: {}", file, number, fault.what()));
        }
    }
    if (found.entries.empty() && found.faults.empty())
        found.faults.push_back(fmt::format("the token file '{}' has no token", file));
    return found;
}

/// Throws definition_error with the first fault.
std::vector<token_entry> read_faultless(const std::string& file)
{
    auto found = read_tokens(file);
    if (!found.faults.empty())
        throw definition_error(found.faults.front());
    return std::move(found.entries);
}

/// Detects a change of the file.
struct file_stamp {
    fs::file_time_type written{};
    std::uintmax_t size = 0;

    static file_stamp of(const std::string& file)
    {
        std::error_code ignored;
        return {fs::last_write_time(file, ignored), fs::file_size(file, ignored)};
    }
    bool operator==(const file_stamp&) const = default;
};

std::string_view bearer_token(const http::request& message)
{
    constexpr std::string_view scheme = "bearer ";
    auto text = message.header("authorization");
    if (text.size() <= scheme.size() || text.size() > scheme.size() + max_token_size)
        return {};
    const bool matches =
        std::ranges::equal(scheme, text.substr(0, scheme.size()),
                           [](char expected, char found) { return expected == (found | 0x20); });
    return matches ? text.substr(scheme.size()) : std::string_view{};
}

class token_authenticator final : public authenticator {
public:
    token_authenticator(std::string file, log_sink log, std::shared_ptr<clock> time)
        : file_(std::move(file)), log_(std::move(log)), clock_(std::move(time)),
          stamp_(file_stamp::of(file_)), entries_(read_faultless(file_)), checked_(clock_->steady())
    {
    }

    std::optional<identity> authenticate(const http::request& message) override
    {
        const auto token = bearer_token(message);
        if (token.empty())
            return std::nullopt;
        // Comparing hashes does not tell how much of a token is right.
        const auto hash = hash_of(token);
        const auto now = clock_->now();
        const std::lock_guard lock(mutex_);
        refresh();
        for (const auto& entry : entries_)
            if (entry.hash == hash && (!entry.expires || now < *entry.expires))
                return identity{entry.name, entry.granted, "token"};
        return std::nullopt;
    }

    std::string challenge() const override { return "Bearer realm=\"pawl\""; }

private:
    void refresh()
    {
        const auto now = clock_->steady();
        if (now - checked_ < check_interval)
            return;
        checked_ = now;
        const auto found = file_stamp::of(file_);
        if (found == stamp_)
            return;
        stamp_ = found;
        auto changed = read_tokens(file_);
        entries_ = std::move(changed.entries);
        if (log_)
            for (const auto& fault : changed.faults)
                log_({log_level::error, fmt::format("admin: a token is not valid: {}", fault)});
    }

    const std::string file_;
    const log_sink log_;
    const std::shared_ptr<clock> clock_;

    std::mutex mutex_; ///< of the following
    file_stamp stamp_;
    std::vector<token_entry> entries_;
    duration checked_;
};

std::string random_token()
{
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<unsigned char, 43> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
        throw std::runtime_error("no random numbers are available");
    std::string token;
    for (const auto byte : bytes)
        token += digits[byte % digits.size()]; // 64 digits: none is more likely
    return token;
}

} // namespace

std::shared_ptr<authenticator> token_file(std::string file, log_sink log,
                                          std::shared_ptr<clock> time)
{
    return std::make_shared<token_authenticator>(std::move(file), std::move(log), std::move(time));
}

token_line make_token(std::string_view name, role granted, std::optional<time_point> expires)
{
    const bool is_word =
        !name.empty() && !name.starts_with('#') &&
        std::ranges::all_of(name, [](unsigned char c) { return c > ' ' && c != 0x7f; });
    if (!is_word)
        throw definition_error(fmt::format(
            "the name of a token is '{}'; it must not be empty, begin with '#', or have a space",
            name));
    token_line made;
    made.token = random_token();
    made.line =
        fmt::format("{} {} {}{}", name, to_string(granted), hash_prefix, hash_of(made.token));
    if (expires) {
        std::string text;
        codec<time_point>::encode(std::chrono::floor<std::chrono::seconds>(*expires), text);
        made.line += " " + text.substr(1, text.size() - 2);
    }
    return made;
}

} // namespace pawl::admin
