#include "metrics.hpp"

namespace order_processing {
namespace {

std::string escaped(const std::string& value)
{
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"')
            text += '\\';
        if (c == '\n')
            text += "\\n";
        else
            text += c;
    }
    return text;
}

std::string text_of(const metrics::labels& labels)
{
    if (labels.empty())
        return {};
    std::string text;
    for (const auto& [name, value] : labels)
        text += (text.empty() ? "{" : ",") + name + "=\"" + escaped(value) + "\"";
    return text + "}";
}

} // namespace

void metrics::describe(std::string name, std::string help)
{
    const std::lock_guard lock{mutex_};
    families_[std::move(name)].help = std::move(help);
}

void metrics::count(const std::string& name, const labels& of)
{
    const std::string key = text_of(of);
    const std::lock_guard lock{mutex_};
    ++families_[name].counters[key];
}

std::uint64_t metrics::value(const std::string& name, const labels& of) const
{
    const std::string key = text_of(of);
    const std::lock_guard lock{mutex_};
    const auto family = families_.find(name);
    if (family == families_.end())
        return 0;
    const auto counter = family->second.counters.find(key);
    return counter == family->second.counters.end() ? 0 : counter->second;
}

std::string metrics::text() const
{
    const std::lock_guard lock{mutex_};
    std::string text;
    for (const auto& [name, family] : families_) {
        if (!family.help.empty())
            text += "# HELP " + name + " " + family.help + "\n";
        text += "# TYPE " + name + " counter\n";
        for (const auto& [labels, value] : family.counters)
            text += name + labels + " " + std::to_string(value) + "\n";
    }
    return text;
}

} // namespace order_processing
