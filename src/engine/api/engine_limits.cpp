// The calls of operators about limits.
#include "definition/check_definition.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

/// Adds the workflow of the numbers that operators set, unless no step has a limit.
void engine_core::add_limits_workflow()
{
    if (!limiter_.has_limits())
        return;
    auto& entry = shared_.workflows[std::string{engine_detail::limits_workflow}];
    if (!entry.impl)
        entry.impl = engine_detail::make_limits_workflow();
    if (!shared_.store.shared())
        return;
    if (!limit_leases_)
        limit_leases_ = std::make_shared<engine_detail::limit_leases>(shared_, options_.name,
                                                                      options_.lease_duration);
    limiter_.share_limits([leases = limit_leases_.get()] { leases->note_demand(); });
}

/// The set of live engines may have changed.
void engine_core::divide_limits(const std::vector<core::engine_facts>& alive)
{
    if (!limit_leases_)
        return;
    const auto engines = core::driving_engines(
        shared_.layout.shards_of(engine_detail::limits_workflow).begin, alive);
    const auto self = std::ranges::find(engines, shards_->owner());
    limit_leases_->set_engines(engines.size(), static_cast<std::size_t>(self - engines.begin()));
}

/// This engine has the part of each rate that it has of the shards of the limits' workflow.
void engine_core::update_share()
{
    if (!limit_leases_)
        return;
    const auto shards = shared_.layout.shards_of(engine_detail::limits_workflow);
    std::uint32_t owned = 0;
    for (auto shard = shards.begin; shard < shards.end; ++shard)
        owned += shared_.owns(shard) ? 1 : 0;
    limiter_.set_share(static_cast<double>(owned) / static_cast<double>(shards.end - shards.begin));
    active_.begin_permitted();
}

void engine_core::list(completion<std::vector<limit_info>> done)
{
    launch(read_limits(), std::move(done));
}

asio::awaitable<std::vector<limit_info>> engine_core::read_limits()
{
    co_return limiter_.list();
}

void engine_core::set(std::string name, limit_options numbers, completion<> done)
{
    launch(set_limit(std::move(name), numbers), std::move(done));
}

asio::awaitable<void> engine_core::set_limit(std::string name, limit_options numbers)
{
    check_limit_name(name);
    if (const auto problems = core::limit_problems(numbers); !problems.empty())
        throw error(errc::invalid_argument, "limit \"" + name + "\": " + problems.front());
    const auto workflow = shared_.workflows.find(engine_detail::limits_workflow)->second.impl;
    while (true) {
        trigger_call first;
        first.foreign_id = name;
        first.object = engine_detail::encode_numbers(numbers);
        failure rejection;
        try {
            const auto started = co_await do_trigger(workflow, std::move(first), true);
            if (!started)
                rejection = started.error();
        } catch (...) {
            rejection = failure_of(std::current_exception());
        }
        if (!rejection)
            break;
        if (rejection.code != errc::already_running)
            std::rethrow_exception(exception_of(rejection));
        rejection = {};
        try {
            auto payload = engine_detail::encode_numbers(numbers);
            co_await call_limit(name, engine_detail::set_numbers_callback, std::move(payload));
        } catch (...) {
            rejection = failure_of(std::current_exception());
        }
        if (!rejection)
            break;
        // The numbers were reset between the two calls: the next iteration sets them again.
        if (!is_gone(rejection))
            std::rethrow_exception(exception_of(rejection));
    }
    co_await engine_detail::read_limit_numbers(shared_);
}

void engine_core::reset(std::string name, completion<> done)
{
    launch(reset_limit(std::move(name)), std::move(done));
}

asio::awaitable<void> engine_core::reset_limit(std::string name)
{
    check_limit_name(name);
    failure rejection;
    try {
        co_await call_limit(name, engine_detail::reset_numbers_callback, {});
    } catch (...) {
        rejection = failure_of(std::current_exception());
    }
    if (rejection && !is_gone(rejection))
        std::rethrow_exception(exception_of(rejection));
    if (rejection)
        throw error(errc::not_found, "the numbers of the limit \"" + name + "\" were not set");
    co_await engine_detail::read_limit_numbers(shared_);
}

void engine_core::check_limit_name(const std::string& name) const
{
    if (!limiter_.has_limit(name))
        throw error(errc::not_found, "no step of this engine has a limit \"" + name + "\"");
}

asio::awaitable<settlement> engine_core::call_limit(std::string name, std::string_view callback,
                                                    std::string payload)
{
    send_call call;
    call.run = std::move(name);
    call.name = callback;
    call.payload = std::move(payload);
    auto workflow = shared_.workflows.find(engine_detail::limits_workflow)->second.impl;
    auto settled = co_await call_internal(std::move(workflow), std::move(call));
    co_return settled;
}

void engine_core::explain(run_id run, completion<std::optional<limit_wait>> done)
{
    launch(explain_wait(run), std::move(done));
}

asio::awaitable<std::optional<limit_wait>> engine_core::explain_wait(run_id run)
{
    co_return limiter_.explain(run);
}

} // namespace pawl::detail
