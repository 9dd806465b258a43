#pragma once

#include "pawl/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pawl {

/// How missing and unknown members of a described struct are read.
enum class json_reading : std::uint8_t {
    tolerant, ///< a missing member keeps its default; an unknown one is ignored
    strict,   ///< both are errors; only a member that is a std::optional may be missing
};

/// The place of a reader in a JSON document, for example `items[2].price`, and how it reads.
///
/// A link of a chain on the stack. Its text is computed only on demand.
///
/// Lifetime: it refers to its parent and to the member's name, which must outlive it.
class json_path {
public:
    /// The whole document, read tolerantly.
    constexpr json_path() noexcept = default;

    /// The whole document. The path of the first member that is ignored because it is unknown is
    /// written to `*ignored`, if that is given and empty.
    constexpr explicit json_path(json_reading reading, std::string* ignored = nullptr) noexcept
        : ignored_(ignored), reading_(reading)
    {
    }

    /// A member, read as its parent.
    constexpr json_path(const json_path& parent, std::string_view member) noexcept
        : json_path(parent, member, parent.reading_)
    {
    }

    /// A member, read in its own way.
    constexpr json_path(const json_path& parent, std::string_view member,
                        json_reading reading) noexcept
        : parent_(&parent), ignored_(parent.ignored_), member_(member), reading_(reading)
    {
    }

    /// An item of a list, read as its parent.
    constexpr json_path(const json_path& parent, std::size_t index) noexcept
        : parent_(&parent), ignored_(parent.ignored_), index_(index), is_index_(true),
          reading_(parent.reading_)
    {
    }

    /// How the value here is read.
    constexpr json_reading reading() const noexcept { return reading_; }

    /// True while note_ignored() has an effect.
    constexpr bool notes_ignored() const noexcept { return ignored_ && ignored_->empty(); }

    /// Reports that the value here is ignored.
    void note_ignored() const;

    json_path(const json_path&) = delete;
    json_path& operator=(const json_path&) = delete;

    /// The text of the path; empty for the whole document. A name that is not an identifier is
    /// written as `["its text"]`.
    std::string str() const;

private:
    const json_path* parent_ = nullptr;
    std::string* ignored_ = nullptr;
    std::string_view member_;
    std::size_t index_ = 0;
    bool is_index_ = false;
    json_reading reading_ = json_reading::tolerant;
};

/// Bytes that do not fit the type that they are read into. Its code is errc::decode_failed.
class decode_error : public error {
public:
    /// `problem` follows the path and a colon: "expected a number, found a string".
    decode_error(const json_path& path, const std::string& problem);

    /// The path of the wrong member; empty for the whole document.
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// A value that JSON cannot hold. Its code is errc::encode_failed.
class encode_error : public error {
public:
    /// `problem` follows the path and a colon.
    explicit encode_error(std::string problem);

    /// The same problem, seen from the object or list that holds the value.
    encode_error(const encode_error& inner, std::string_view member);
    encode_error(const encode_error& inner, std::size_t index);

    /// The path of the wrong member; empty for the whole value.
    const std::string& path() const noexcept { return path_; }

private:
    encode_error(std::string path, std::string problem);

    std::string path_;
    std::string problem_;
};

} // namespace pawl
