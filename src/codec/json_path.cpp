#include "pawl/json_path.hpp"

#include <algorithm>

namespace pawl {

namespace {

bool is_identifier(std::string_view text)
{
    const auto plain = [](unsigned char c) {
        return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c >= '0' && c <= '9') || c >= 0x80;
    };
    return !text.empty() && std::ranges::all_of(text, plain);
}

std::string element(std::string_view member)
{
    if (is_identifier(member))
        return std::string{member};
    return "[\"" + std::string{member} + "\"]";
}

std::string element(std::size_t index)
{
    return "[" + std::to_string(index) + "]";
}

std::string join(std::string path, std::string_view rest)
{
    if (!path.empty() && !rest.empty() && rest.front() != '[')
        path += '.';
    path += rest;
    return path;
}

std::string sentence(const std::string& path, const std::string& problem)
{
    return path.empty() ? problem : path + ": " + problem;
}

} // namespace

std::string json_path::str() const
{
    if (!parent_)
        return {};
    return join(parent_->str(), is_index_ ? element(index_) : element(member_));
}

void json_path::note_ignored() const
{
    if (notes_ignored())
        *ignored_ = str();
}

decode_error::decode_error(const json_path& path, const std::string& problem)
    : error(errc::decode_failed, sentence(path.str(), problem)), path_(path.str())
{
}

encode_error::encode_error(std::string problem) : encode_error(std::string{}, std::move(problem))
{
}

encode_error::encode_error(const encode_error& inner, std::string_view member)
    : encode_error(join(element(member), inner.path_), inner.problem_)
{
}

encode_error::encode_error(const encode_error& inner, std::size_t index)
    : encode_error(join(element(index), inner.path_), inner.problem_)
{
}

encode_error::encode_error(std::string path, std::string problem)
    : error(errc::encode_failed, sentence(path, problem)), path_(std::move(path)),
      problem_(std::move(problem))
{
}

} // namespace pawl
