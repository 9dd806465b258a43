#include "definition/check_definition.hpp"

#include "core/decide.hpp"
#include "core/option_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>

namespace pawl::core {

namespace {

constexpr std::size_t max_name = 128;
constexpr std::int64_t max_limit_number = 1'000'000;

class checker {
public:
    explicit checker(const definition& rules) : rules_(rules) {}

    std::vector<std::string> run()
    {
        check_name("the workflow's name", rules_.name);
        check_uses();
        check_auto_resume();
        check_retired();
        check_renamed();
        check_attributes();
        check_limits();
        if (!std::ranges::any_of(rules_.statuses, has_handler)) {
            add("it has no step, callback or timeout: declare at least one");
        } else if (!std::ranges::any_of(rules_.statuses, &status_rules::start)) {
            add("no run can start: every status is the destination of another; declare one with "
                "start<>()");
        } else {
            check_reachable();
        }
        for (const auto& status : rules_.statuses)
            check_status(status);
        return std::move(problems_);
    }

private:
    static bool has_handler(const status_rules& status)
    {
        return status.step || !status.callbacks.empty() || !status.timeouts.empty();
    }

    static std::string name_of(const status_rules& status)
    {
        return status_name(status.label, status.id);
    }

    void add(std::string problem) { problems_.push_back(std::move(problem)); }

    void add(const status_rules& status, const std::string& problem)
    {
        add(name_of(status) + ": " + problem);
    }

    void check_name(const std::string& subject, const std::string& name)
    {
        const auto allowed = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '-' || c == '_' || c == '.';
        };
        if (name.empty())
            add(subject + " is empty");
        else if (name.size() > max_name)
            add(subject + " is longer than " + std::to_string(max_name) + " bytes");
        else if (!std::ranges::all_of(name, allowed))
            add(subject + " has other characters than letters, digits, '-', '_' and '.'");
    }

    void check_uses()
    {
        std::set<std::string_view> seen;
        for (const auto& used : rules_.uses) {
            check_name("the name of a workflow that it uses", used.name);
            if (!seen.insert(used.name).second)
                add("it declares twice that it uses the workflow \"" + used.name + "\"");
        }
    }

    void check_auto_resume()
    {
        if (rules_.resume_after < duration::zero())
            add("auto_resume: the time is negative; zero disables automatic resumes");
        if (rules_.max_auto_resumes < 0)
            add("auto_resume: the number of times is negative");
    }

    void check_attributes()
    {
        const auto& attributes = rules_.attributes;
        if (attributes.size() > max_attributes)
            add("it has " + std::to_string(attributes.size()) +
                " attributes; a workflow has at most " + std::to_string(max_attributes));
        std::set<std::string_view> seen;
        for (const auto& declared : attributes) {
            if (declared.name.empty())
                add("an attribute's name is empty");
            else if (declared.name.size() > max_name)
                add("an attribute's name is longer than " + std::to_string(max_name) + " bytes");
            else if (!seen.insert(declared.name).second)
                add("it has two attributes named \"" + declared.name + "\"");
        }
    }

    void check_limits()
    {
        std::map<std::string_view, const step_limit*> known;
        for (const auto& status : rules_.statuses) {
            if (!status.step)
                continue;
            std::set<std::string_view> seen;
            for (const auto& used : status.step->limits) {
                const auto name = "its step's limit \"" + used.name + "\"";
                if (!seen.insert(used.name).second)
                    add(status, name + " is given twice");
                const auto [first, is_new] = known.emplace(used.name, &used);
                if (is_new)
                    check_limit(status, used);
                else
                    for (const auto& problem : limit_conflicts(*first->second, used))
                        add(status, name + " " + problem);
            }
            if (status.step->limits.size() > max_limits_per_step)
                add(status, "its step has " + std::to_string(status.step->limits.size()) +
                                " limits; a step has at most " +
                                std::to_string(max_limits_per_step));
            if (status.step->takes_turns && status.step->limits.empty() &&
                status.step->max_concurrency == 0)
                add(status, "fair_by needs a limit or max_concurrency: without one no run waits "
                            "for its turn");
        }
    }

    void check_limit(const status_rules& status, const step_limit& used)
    {
        check_name("the name of the limit of " + name_of(status), used.name);
        for (const auto& problem : limit_problems(used.numbers))
            add(status, "its step's limit \"" + used.name + "\": " + problem);
    }

    void check_retired()
    {
        std::set<int> seen;
        for (const auto& [from, to] : rules_.retired) {
            const auto number = std::to_string(from);
            if (!seen.insert(from).second)
                add("status " + number + " is replaced twice");
            if (rules_.find(from))
                add("status " + number + " is replaced, but declared as well");
            if (!rules_.find(to))
                add("status " + number + " is replaced by " + std::to_string(to) +
                    ", which is not declared");
        }
    }

    void check_status(const status_rules& status)
    {
        if (status.end && has_handler(status))
            add(status, "it is declared as an end, and also has a step, callback or timeout");
        else if (status.end && status.start)
            add(status, "it is declared as an end and as a start");
        if (!status.end && !has_handler(status))
            check_dead_end(status);
        if (status.step) {
            check_retry(status, "its step's retry policy", status.step->retry);
            check_span(status, "its step's attempt_timeout", status.step->attempt_timeout);
            check_span(status, "its step's start_delay", status.step->start_delay);
            if (status.step->max_concurrency > max_concurrency_ceiling)
                add(status, "its step's max_concurrency is above " +
                                std::to_string(max_concurrency_ceiling) + "; 0 means no limit");
        }
        check_timeouts(status);
        check_callbacks(status);
    }

    void check_dead_end(const status_rules& status)
    {
        std::string sources;
        for (const auto& from : rules_.statuses)
            if (std::ranges::find(from.edges, status.id, &edge::to) != from.edges.end())
                sources += (sources.empty() ? "" : ", ") + name_of(from);
        if (sources.empty())
            add(status, "it is declared as a start, but has no step, callback or timeout");
        else
            add(status, "runs arrive from " + sources +
                            ", but it has no step, callback or timeout; declare it with end<>() if "
                            "runs are to complete there");
    }

    void check_timeouts(const status_rules& status)
    {
        std::set<std::string_view> seen;
        // The effects and idempotency keys of a timeout's handler are stored under this number.
        std::map<std::uint64_t, std::string_view> numbers;
        for (const auto& timeout : status.timeouts) {
            const auto prefix = timeout.name == unnamed_timeout
                                    ? std::string{"its timeout's "}
                                    : "its timeout \"" + timeout.name + "\"'s ";
            check_retry(status, prefix + "retry policy", timeout.retry);
            check_span(status, prefix + "attempt_timeout", timeout.attempt_timeout);
            if (timeout.name.size() > max_name)
                add(status,
                    "a timeout's name is longer than " + std::to_string(max_name) + " bytes");
            else if (!seen.insert(timeout.name).second && timeout.name != unnamed_timeout)
                add(status, "it has two timeouts named \"" + timeout.name + "\"");
            const auto [same, is_new] =
                numbers.try_emplace(timeout_handler_number(timeout.name), timeout.name);
            if (!is_new && same->second != timeout.name)
                add(status, "its timeouts \"" + std::string{same->second} + "\" and \"" +
                                timeout.name +
                                "\" have the same hash, under which their effects and idempotency "
                                "keys are stored: rename one of them");
        }
    }

    void check_renamed()
    {
        for (const auto& [status, old] : rules_.renamed) {
            const auto* rules = rules_.find(status);
            if (!rules)
                add("status " + std::to_string(status) + " is renamed from \"" + old +
                    "\", but is not declared");
            else if (old.empty() || old == rules->label)
                add(*rules,
                    "renamed<>() needs an earlier label of the status, not its present one");
        }
    }

    void check_callbacks(const status_rules& status)
    {
        std::set<std::string_view> seen;
        for (const auto& name : status.callbacks) {
            if (name.empty())
                add(status, "a callback's name is empty");
            else if (name.size() > max_name)
                add(status,
                    "a callback's name is longer than " + std::to_string(max_name) + " bytes");
            else if (!seen.insert(name).second)
                add(status, "it has two callbacks named \"" + name + "\"");
        }
        for (std::size_t i = 0; i < status.callback_policies.size(); ++i) {
            const auto callback = "its callback \"" + status.callbacks.at(i) + "\"'s ";
            check_retry(status, callback + "retry policy", status.callback_policies[i].retry);
            check_span(status, callback + "attempt_timeout",
                       status.callback_policies[i].attempt_timeout);
        }
    }

    void check_retry(const status_rules& status, const std::string& where,
                     const retry_policy& policy)
    {
        for (const auto& problem : retry_problems(policy))
            add(status, where + ": " + problem);
    }

    void check_span(const status_rules& status, const std::string& where, duration span)
    {
        if (span < duration::zero())
            add(status, where + " is " + text_of(span) + "; it must be at least 0 s"); // 0 s: none
    }

    void check_reachable()
    {
        std::set<int> reached;
        std::vector<int> pending;
        for (const auto& status : rules_.statuses)
            if (status.start)
                pending.push_back(status.id);
        while (!pending.empty()) {
            const int id = pending.back();
            pending.pop_back();
            const auto* status = rules_.find(id);
            if (!reached.insert(id).second || !status)
                continue;
            for (const auto& next : status->edges)
                pending.push_back(next.to);
        }
        for (const auto& status : rules_.statuses)
            if (!reached.contains(status.id))
                add(status, "no run can reach it from a start");
    }

    const definition& rules_;
    std::vector<std::string> problems_;
};

} // namespace

std::vector<std::string> check_definition(const definition& rules)
{
    return checker{rules}.run();
}

std::vector<std::string> retry_problems(const retry_policy& policy)
{
    std::vector<std::string> problems;
    const auto check = [&](bool good, const char* field, const auto& value, std::string range) {
        if (!good)
            problems.push_back(fmt::format("{} is {}; it must be {}", field, value, range));
    };
    check(policy.initial > duration::zero(), "initial", text_of(policy.initial), "above 0 s");
    // NaN must fail the check.
    const bool grows = policy.multiplier >= 1 && policy.multiplier <= 1e9;
    check(grows, "multiplier", policy.multiplier, "from 1 to 1e9");
    check(!(policy.multiplier > 1) || policy.max_interval >= policy.initial, "max_interval",
          text_of(policy.max_interval),
          "at least initial (" + text_of(policy.initial) + ") when multiplier is above 1");
    check(policy.jitter >= 0 && policy.jitter <= 1, "jitter", policy.jitter, "from 0 to 1");
    check(policy.max_attempts >= 0, "max_attempts", policy.max_attempts,
          "at least 0 (0: no limit)");
    return problems;
}

std::vector<std::string> limit_problems(const limit_options& numbers)
{
    std::vector<std::string> problems;
    const auto check = [&](const char* field, const std::optional<std::int64_t>& value) {
        if (value && (*value < 1 || *value > max_limit_number))
            problems.push_back(std::string{field} + " is " + std::to_string(*value) +
                               "; it must be from 1 to 1,000,000, or empty for none");
    };
    check("rate", numbers.rate);
    check("burst", numbers.burst);
    check("concurrency", numbers.concurrency);
    if (numbers.per < std::chrono::milliseconds{1} || numbers.per > std::chrono::days{30})
        problems.push_back("per is " + text_of(numbers.per) + "; it must be from 1 ms to 30 days");
    if (!numbers.rate && !numbers.concurrency)
        problems.emplace_back("it limits nothing: set rate, concurrency or both");
    if (numbers.burst && !numbers.rate)
        problems.emplace_back("burst has no effect without rate: set rate too");
    return problems;
}

std::vector<std::string> limit_conflicts(const step_limit& first, const step_limit& second)
{
    std::vector<std::string> problems;
    if (first.numbers != second.numbers)
        problems.emplace_back("has other numbers than the limit of the same name of another step: "
                              "declare it once, as a constexpr pawl::limit");
    if (first.keyed != second.keyed)
        problems.emplace_back("has a key in one step and none in another: a limit has either one "
                              "pool or one for each key");
    return problems;
}

std::string status_name(const std::string& label, int status)
{
    const auto number = std::to_string(status);
    return label == number ? number : label + " (" + number + ")";
}

} // namespace pawl::core
