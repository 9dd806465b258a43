#include "testing/simulation/client_proxy.hpp"

#include "testing/simulation/simulator.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <utility>

namespace pawl::testing::detail {

namespace asio = boost::asio;
using pawl::detail::completion;
using pawl::detail::engine_api;
using pawl::detail::failure;
using pawl::detail::workflow_impl;

namespace {

template <class... Results>
class one_call final : public pending_call,
                       public std::enable_shared_from_this<one_call<Results...>> {
public:
    /// `told` hears the answer first.
    one_call(simulator& owner, std::string what, completion<Results...> done,
             std::function<void(const Results&...)> told)
        : owner_(owner), what_(std::move(what)), told_(std::move(told))
    {
        done_.emplace(std::move(done));
    }

    void lose() override { end(errc::not_running, Results{}...); }

    void answer(failure result, Results... values)
    {
        if (!done_)
            return; // the engine that answers has crashed
        if (!result)
            told_(values...);
        end(std::move(result), std::move(values)...);
    }

    void begin(process* with, const std::function<void(engine_api&)>& start,
               const std::string& workflow)
    {
        owner_.trace(fmt::format("client {} at {}", what_, with ? with->name() : "nobody"));
        if (!with) {
            lose();
            return;
        }
        with->expect(this->weak_from_this());
        start(*with->api(workflow));
    }

private:
    void end(failure result, Results... values)
    {
        if (!done_)
            return;
        owner_.trace(fmt::format("client {} is answered: {}", what_, result.code.message()));
        asio::post(owner_.io, [done = std::move(*done_), result = std::move(result),
                               ... values = std::move(values)]() mutable {
            asio::dispatch([done = std::move(done), result = std::move(result),
                            ... values = std::move(values)]() mutable {
                std::move(done)(std::move(result), std::move(values)...);
            });
        });
        done_.reset();
    }

    simulator& owner_;
    const std::string what_;
    const std::function<void(const Results&...)> told_;
    std::optional<completion<Results...>> done_;
};

class client_proxy final : public engine_api {
public:
    explicit client_proxy(simulator& owner) : owner_(owner) {}

    asio::any_io_executor executor() const override { return owner_.io.get_executor(); }

    void trigger(std::shared_ptr<const workflow_impl> workflow, pawl::detail::trigger_call call,
                 completion<run_id> done) override
    {
        const auto name = workflow->rules.name;
        ask(
            name, fmt::format("triggers {} \"{}\"", name, call.foreign_id), std::move(done),
            [this, name, foreign_id = call.foreign_id, key = call.key](const run_id& run) {
                const auto stored = owner_.read(owner_.truth->find(run));
                owner_.seen.told_started(name, foreign_id, key, run, stored.has_value());
            },
            [&](engine_api& to, process& of, completion<run_id> answered) {
                to.trigger(of.flow(name), std::move(call), std::move(answered));
            });
    }

    void send(std::shared_ptr<const workflow_impl> workflow, pawl::detail::send_call call,
              completion<settlement> done) override
    {
        const auto name = workflow->rules.name;
        const auto* run = std::get_if<run_id>(&call.to);
        const auto to_whom = run ? to_string(*run) : std::get<std::string>(call.to);
        ask(
            name,
            fmt::format("sends {} {} to {} {}", static_cast<int>(call.kind), call.name, name,
                        to_whom),
            std::move(done),
            [this, to = run ? std::optional{*run} : std::nullopt](const settlement& told) {
                if (!to)
                    return;
                const auto stored = owner_.read(owner_.truth->outcome(*to, told.sequence));
                owner_.seen.told_settled(*to, told, stored);
            },
            [&](engine_api& to, process& of, completion<settlement> answered) {
                to.send(of.flow(name), std::move(call), std::move(answered));
            });
    }

    void warn(std::string_view workflow, std::string_view text) override
    {
        owner_.trace(fmt::format("client of {}: {}", workflow, text));
    }

    void await(std::string workflow, run_id run, std::optional<std::vector<int>> statuses,
               completion<record> done) override
    {
        ask(
            workflow, fmt::format("awaits {}", to_string(run)), std::move(done),
            [this](const record& told) { owner_.seen.told_reached(told); },
            [&](engine_api& to, process&, completion<record> answered) {
                to.await(workflow, run, std::move(statuses), std::move(answered));
            });
    }

    void set_schedule(std::shared_ptr<const workflow_impl> workflow,
                      pawl::detail::schedule_call call, completion<> done) override
    {
        const auto name = workflow->rules.name;
        ask(
            name, "sets a schedule", std::move(done), [] {},
            [&](engine_api& to, process& of, completion<> answered) {
                to.set_schedule(of.flow(name), std::move(call), std::move(answered));
            });
    }

    void list_schedules(std::string workflow, completion<std::vector<schedule_info>> done) override
    {
        ask(
            workflow, "lists schedules", std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<std::vector<schedule_info>> answered) {
                to.list_schedules(workflow, std::move(answered));
            });
    }

    void command_schedule(std::string workflow, std::string name,
                          pawl::detail::schedule_command what, completion<> done) override
    {
        ask(
            workflow, "commands a schedule", std::move(done), [] {},
            [&](engine_api& to, process&, completion<> answered) {
                to.command_schedule(workflow, std::move(name), what, std::move(answered));
            });
    }

    void find(std::string workflow, run_id run, completion<std::optional<record>> done) override
    {
        ask(
            workflow, "finds " + to_string(run), std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<std::optional<record>> answered) {
                to.find(workflow, run, std::move(answered));
            });
    }

    void latest(std::string workflow, std::string foreign_id,
                completion<std::optional<record>> done) override
    {
        ask(
            workflow, "finds the latest of " + foreign_id, std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<std::optional<record>> answered) {
                to.latest(workflow, std::move(foreign_id), std::move(answered));
            });
    }

    void list(record_query query, completion<record_page> done) override
    {
        ask(
            any_workflow(), "lists", std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<record_page> answered) {
                to.list(std::move(query), std::move(answered));
            });
    }

    void count(std::string workflow, bool unfinished_only,
               completion<std::vector<status_count>> done) override
    {
        ask(
            workflow, "counts", std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<std::vector<status_count>> answered) {
                to.count(workflow, unfinished_only, std::move(answered));
            });
    }

    void history(std::string workflow, run_id run, std::uint64_t after, std::size_t limit,
                 completion<std::vector<event>> done) override
    {
        ask(
            workflow, "reads the history of " + to_string(run), std::move(done), [](const auto&) {},
            [&](engine_api& to, process&, completion<std::vector<event>> answered) {
                to.history(workflow, run, after, limit, std::move(answered));
            });
    }

private:
    /// For calls that name none.
    static std::string any_workflow() { return {}; }

    template <class Told, class Start, class... Results>
    void ask(const std::string& workflow, std::string what, completion<Results...> done, Told told,
             Start start)
    {
        const auto call = std::make_shared<one_call<Results...>>(owner_, std::move(what),
                                                                 std::move(done), std::move(told));
        auto* const with = owner_.pick(workflow);
        call->begin(
            with,
            [&](engine_api& to) {
                start(to, *with, [call](failure result, Results... values) {
                    call->answer(result, std::move(values)...);
                });
            },
            workflow);
    }

    simulator& owner_;
};

} // namespace

std::shared_ptr<engine_api> make_client_door(simulator& owner)
{
    return std::make_shared<client_proxy>(owner);
}

} // namespace pawl::testing::detail
