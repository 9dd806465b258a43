#pragma once

#include "pawl/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace pawl {

/// Where in a JSON document a reader stands, e.g. `items[2].price`.
///
/// A link of a chain on the stack: it refers to its parent and to the member's name, so both must
/// outlive it. Costs nothing until somebody asks for its text.
class json_path {
public:
    /// The whole document.
    constexpr json_path() noexcept = default;

    constexpr json_path(const json_path& parent, std::string_view member) noexcept
        : parent_(&parent), member_(member)
    {
    }

    constexpr json_path(const json_path& parent, std::size_t index) noexcept
        : parent_(&parent), index_(index), is_index_(true)
    {
    }

    json_path(const json_path&) = delete;
    json_path& operator=(const json_path&) = delete;

    /// Empty for the whole document. A name that is no identifier stands as `["its text"]`.
    std::string str() const;

private:
    const json_path* parent_ = nullptr;
    std::string_view member_;
    std::size_t index_ = 0;
    bool is_index_ = false;
};

/// Bytes that do not fit the type that they are read into. Its code is errc::decode_failed.
class decode_error : public error {
public:
    /// `problem` is what follows the path and a colon: "expected a number, found a string".
    decode_error(const json_path& at, const std::string& problem);

    /// The member that is wrong; empty when it is the whole document.
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// A value that JSON cannot hold. Its code is errc::encode_failed.
class encode_error : public error {
public:
    explicit encode_error(std::string problem);

    /// The same problem, seen from the object or list that holds the value.
    encode_error(const encode_error& inner, std::string_view member);
    encode_error(const encode_error& inner, std::size_t index);

    /// The member that is wrong; empty when it is the whole value.
    const std::string& path() const noexcept { return path_; }

private:
    encode_error(std::string path, std::string problem);

    std::string path_;
    std::string problem_;
};

} // namespace pawl
