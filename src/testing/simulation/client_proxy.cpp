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
class client_call final : public pending_call,
                          public std::enable_shared_from_this<client_call<Results...>> {
public:
    /// @param check is called with the results before the client gets them.
    client_call(simulator& owner, std::string title, completion<Results...> handler,
                std::function<void(const Results&...)> check)
        : owner_(owner), title_(std::move(title)), check_(std::move(check))
    {
        handler_.emplace(std::move(handler));
    }

    void fail_not_running() override { complete(errc::not_running, Results{}...); }

    void process_answer(failure result, Results... values)
    {
        if (!handler_)
            return; // the engine that answers has crashed
        if (!result)
            check_(values...);
        complete(std::move(result), std::move(values)...);
    }

    void begin(process* server, const std::function<void(engine_api&)>& start,
               const std::string& workflow)
    {
        owner_.trace(fmt::format("client {} at {}", title_, server ? server->name() : "nobody"));
        if (!server) {
            fail_not_running();
            return;
        }
        server->add_pending_call(this->weak_from_this());
        start(*server->api(workflow));
    }

private:
    void complete(failure result, Results... values)
    {
        if (!handler_)
            return;
        owner_.trace(fmt::format("client {} is answered: {}", title_, result.code.message()));
        asio::post(owner_.io, [handler = std::move(*handler_), result = std::move(result),
                               ... values = std::move(values)]() mutable {
            asio::dispatch([handler = std::move(handler), result = std::move(result),
                            ... values = std::move(values)]() mutable {
                std::move(handler)(std::move(result), std::move(values)...);
            });
        });
        handler_.reset();
    }

    simulator& owner_;
    const std::string title_; ///< for the trace
    const std::function<void(const Results&...)> check_;
    std::optional<completion<Results...>> handler_;
};

class client_proxy final : public engine_api {
public:
    explicit client_proxy(simulator& owner) : owner_(owner) {}

    asio::any_io_executor executor() const override { return owner_.io.get_executor(); }

    void trigger(std::shared_ptr<const workflow_impl> workflow, pawl::detail::trigger_call call,
                 completion<run_id> done) override
    {
        const auto name = workflow->rules.name;
        call_engine(
            name, fmt::format("triggers {} \"{}\"", name, call.foreign_id), std::move(done),
            [this, name, foreign_id = call.foreign_id, key = call.key](const run_id& run) {
                const auto stored = owner_.read(owner_.store->find(run));
                owner_.checker.start_reported(name, foreign_id, key, run, stored.has_value());
            },
            [&](engine_api& api, process& server, completion<run_id> answered) {
                api.trigger(server.flow(name), std::move(call), std::move(answered));
            });
    }

    void send(std::shared_ptr<const workflow_impl> workflow, pawl::detail::send_call call,
              completion<settlement> done) override
    {
        const auto name = workflow->rules.name;
        const auto* run = std::get_if<run_id>(&call.run);
        const auto target = run ? to_string(*run) : std::get<std::string>(call.run);
        call_engine(
            name,
            fmt::format("sends {} {} to {} {}", static_cast<int>(call.kind), call.name, name,
                        target),
            std::move(done),
            [this, id = run ? std::optional{*run} : std::nullopt](const settlement& reported) {
                if (!id)
                    return;
                const auto stored = owner_.read(owner_.store->outcome(*id, reported.sequence));
                owner_.checker.settlement_reported(*id, reported, stored);
            },
            [&](engine_api& api, process& server, completion<settlement> answered) {
                api.send(server.flow(name), std::move(call), std::move(answered));
            });
    }

    void start_or_send(std::shared_ptr<const workflow_impl> workflow,
                       pawl::detail::trigger_call start, pawl::detail::send_call callback,
                       completion<run_id> done) override
    {
        const auto name = workflow->rules.name;
        call_engine(
            name, fmt::format("starts or sends {} to {} {}", callback.name, name, start.foreign_id),
            std::move(done), [](const run_id&) {},
            [&](engine_api& api, process& server, completion<run_id> answered) {
                api.start_or_send(server.flow(name), std::move(start), std::move(callback),
                                  std::move(answered));
            });
    }

    void warn(std::string_view workflow, std::string_view text) override
    {
        owner_.trace(fmt::format("client of {}: {}", workflow, text));
    }

    void await(std::string workflow, run_id run, std::optional<std::vector<int>> statuses,
               completion<record> done) override
    {
        call_engine(
            workflow, fmt::format("awaits {}", to_string(run)), std::move(done),
            [this](const record& reported) { owner_.checker.await_reported(reported); },
            [&](engine_api& api, process&, completion<record> answered) {
                api.await(workflow, run, std::move(statuses), std::move(answered));
            });
    }

    void set_schedule(std::shared_ptr<const workflow_impl> workflow,
                      pawl::detail::schedule_call call, completion<> done) override
    {
        const auto name = workflow->rules.name;
        call_engine(
            name, "sets a schedule", std::move(done), [] {},
            [&](engine_api& api, process& server, completion<> answered) {
                api.set_schedule(server.flow(name), std::move(call), std::move(answered));
            });
    }

    void list_schedules(std::string workflow, completion<std::vector<schedule_info>> done) override
    {
        call_engine(
            workflow, "lists schedules", std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<std::vector<schedule_info>> answered) {
                api.list_schedules(workflow, std::move(answered));
            });
    }

    void command_schedule(std::string workflow, std::string name,
                          pawl::detail::schedule_command command, completion<> done) override
    {
        call_engine(
            workflow, "commands a schedule", std::move(done), [] {},
            [&](engine_api& api, process&, completion<> answered) {
                api.command_schedule(workflow, std::move(name), command, std::move(answered));
            });
    }

    void find(std::string workflow, run_id run, completion<std::optional<record>> done) override
    {
        call_engine(
            workflow, "finds " + to_string(run), std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<std::optional<record>> answered) {
                api.find(workflow, run, std::move(answered));
            });
    }

    void latest(std::string workflow, std::string foreign_id,
                completion<std::optional<record>> done) override
    {
        call_engine(
            workflow, "finds the latest of " + foreign_id, std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<std::optional<record>> answered) {
                api.latest(workflow, std::move(foreign_id), std::move(answered));
            });
    }

    void list(record_query query, completion<record_page> done) override
    {
        call_engine(
            any_workflow(), "lists", std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<record_page> answered) {
                api.list(std::move(query), std::move(answered));
            });
    }

    void fill_attributes(std::shared_ptr<const workflow_impl> workflow, list_position after,
                         std::size_t limit, completion<attribute_fill> done) override
    {
        call_engine(
            workflow->rules.name, "fills in attributes", std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<attribute_fill> answered) {
                api.fill_attributes(workflow, after, limit, std::move(answered));
            });
    }

    void count(std::string workflow, bool unfinished_only,
               completion<std::vector<status_count>> done) override
    {
        call_engine(
            workflow, "counts", std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<std::vector<status_count>> answered) {
                api.count(workflow, unfinished_only, std::move(answered));
            });
    }

    void history(std::string workflow, run_id run, std::uint64_t after, std::size_t limit,
                 completion<std::vector<event>> done) override
    {
        call_engine(
            workflow, "reads the history of " + to_string(run), std::move(done), [](const auto&) {},
            [&](engine_api& api, process&, completion<std::vector<event>> answered) {
                api.history(workflow, run, after, limit, std::move(answered));
            });
    }

private:
    /// For calls that do not name a workflow.
    static std::string any_workflow() { return {}; }

    template <class Check, class Start, class... Results>
    void call_engine(const std::string& workflow, std::string title, completion<Results...> handler,
                     Check check, Start start)
    {
        const auto call = std::make_shared<client_call<Results...>>(
            owner_, std::move(title), std::move(handler), std::move(check));
        auto* const server = owner_.pick_serving(workflow);
        call->begin(
            server,
            [&](engine_api& api) {
                start(api, *server, [call](failure result, Results... values) {
                    call->process_answer(std::move(result), std::move(values)...);
                });
            },
            workflow);
    }

    simulator& owner_;
};

} // namespace

std::shared_ptr<engine_api> make_client_proxy(simulator& owner)
{
    return std::make_shared<client_proxy>(owner);
}

} // namespace pawl::testing::detail
