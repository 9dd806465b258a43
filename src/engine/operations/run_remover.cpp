#include "engine/operations/run_remover.hpp"

#include "engine/api/engine_core.hpp"
#include "engine/background/finished_removal.hpp"
#include "engine/operations/audited_changes.hpp"
#include "pawl/detail/initiate.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

asio::awaitable<change_result> run_remover::remove(std::string workflow, run_id run,
                                                   change_request request)
{
    auto entry = changes_.begin("remove", request);
    change_result result{run, 0, message_outcome::handled, entry.id};
    entry.workflow = workflow;
    entry.run = run;
    std::exception_ptr failure;
    try {
        check_request(request);
        auto found = co_await core_.find_receiver(workflow, run);
        entry.foreign_id = found.foreign_id;
        check_version(found, request);
        entry.outcome = audit_outcome::requested;
        co_await changes_.log().append(entry);
        co_await remove_run(std::move(found));
    } catch (...) {
        failure = std::current_exception();
    }
    entry.outcome = audit_outcome::done;
    co_await changes_.finish(std::move(entry), std::move(failure));
    co_return result;
}

/// A workflow with retention has an archiver, which its runner calls once at a time.
asio::awaitable<void> run_remover::remove_run(record run)
{
    auto& shared = core_.shared_;
    const auto own = shared.workflows.find(run.workflow);
    if (core_.options_.client_only || own == shared.workflows.end()) {
        auto text = co_await changes_.refusal_of_workflow(run.workflow, "or drives no runs");
        throw error(errc::missing_workflow, text);
    }
    for (const auto& runner : core_.retention_) {
        if (runner->workflow() != run.workflow)
            continue;
        co_await detail::initiate<const asio::use_awaitable_t<>>(
            [](auto handler, std::shared_ptr<retention_runner> remover, run_id id) {
                remover->remove(id, detail::completion<>{std::move(handler)});
            },
            asio::use_awaitable, runner, run.id);
        co_return;
    }
    log_follower* hooks = nullptr;
    for (const auto& runner : core_.hooks_)
        if (runner->workflow() == run.workflow)
            hooks = &runner->follower();
    removal_gate gate{shared, *own->second.impl, hooks, *core_.consumers_};
    co_await remove_finished(shared, gate, nullptr, run.id);
}

} // namespace pawl::engine_detail
