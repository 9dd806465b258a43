#include "pawl/testing/simulated_service.hpp"

#include <fmt/format.h>

namespace pawl::testing {

simulated_service::simulated_service(simulation& sim, std::string name)
    : sim_(sim), name_(std::move(name))
{
}

simulated_service::~simulated_service() = default;

void simulated_service::report(const std::string& sentence)
{
    sim_.report_violation(name_ + ": " + sentence);
}

/// Returns the result of the first request with this key; nullptr if the key is new.
const std::any* simulated_service::known(const service_request& request)
{
    if (request.key.empty()) {
        report(fmt::format("{} of {} was requested without an idempotency key", request.effect,
                           request.subject));
        return nullptr;
    }
    const auto found = by_key_.find(request.key);
    if (found == by_key_.end())
        return nullptr;
    const auto& first = found->second.request;
    std::string difference;
    if (first.effect != request.effect || first.subject != request.subject)
        difference = fmt::format("the key {} was used for {} of {} and for {} of {}", request.key,
                                 first.effect, first.subject, request.effect, request.subject);
    else if (first.body != request.body)
        difference =
            fmt::format("{} of {} was requested under the key {} with \"{}\" and with \"{}\"",
                        request.effect, request.subject, request.key, first.body, request.body);
    if (difference.empty())
        return &found->second.result;
    report(difference);
    throw service_conflict(difference);
}

void simulated_service::remember(const service_request& request, std::any result)
{
    auto& keys = keys_[{request.effect, request.subject}];
    keys.push_back(request.key);
    if (request.key.empty())
        return;
    by_key_.emplace(request.key, entry{request, std::move(result)});
    if (keys.size() > 1 && !request.repeatable)
        report(fmt::format("{} of {} was made twice, under the keys {} and {}", request.effect,
                           request.subject, keys[keys.size() - 2], keys.back()));
}

std::size_t simulated_service::count(std::string_view effect, std::string_view subject) const
{
    const auto found = keys_.find({std::string{effect}, std::string{subject}});
    return found == keys_.end() ? 0 : found->second.size();
}

} // namespace pawl::testing
