#include "engine/api/engine_core.hpp"

#include "async/complete.hpp"
#include "engine/api/checked_options.hpp"
#include "engine/operations/operations_service.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

using engine_detail::error_code_of;

namespace {

std::mt19937_64 seeded(std::optional<std::uint64_t> given)
{
    if (given)
        return std::mt19937_64{*given};
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64{seed};
}

} // namespace

engine_core::engine_core(asio::any_io_executor executor, engine_options options)
    : options_(engine_detail::checked(std::move(options))), clock_(options_.clock),
      tasks_(executor, options_.log), background_tasks_(executor, options_.log),
      committer_(executor, *options_.store, tasks_, {options_.max_batch, options_.max_batch_bytes},
                 options_.observer.get(), *options_.clock,
                 [this](const change& change, const apply_result* result) {
                     handle_commit(change, result);
                 }),
      shared_{.executor = executor,
              .store = *options_.store,
              .clock = clock_,
              .log = options_.log,
              .observer = options_.observer.get(),
              .tracing = options_.observer ? options_.observer->tracing() : trace_policy{},
              .running = tasks_,
              .background = background_tasks_,
              .commits = committer_,
              .layout = engine_detail::shard_map{options_.store->shards()},
              .epochs = std::vector<std::atomic<std::uint64_t>>(options_.store->shards() + 1),
              .max_active_runs = options_.max_active_runs,
              .urgent_runs = options_.urgent_runs,
              .max_waiting_handlers = options_.max_waiting_handlers,
              .max_object_size = options_.max_object_size,
              .cancellation_grace = options_.cancellation_grace},
      active_(shared_), limiter_(clock_), suspects_(shared_, options_.max_crashes),
      scanner_(std::make_shared<engine_detail::due_scanner>(shared_)),
      watchers_(std::make_shared<engine_detail::watchers>()),
      recheck_(std::make_shared<engine_detail::watcher_recheck>(shared_, watchers_)),
      shards_(std::make_shared<engine_detail::shard_manager>(
          shared_, options_.name, options_.lease_duration, shard_handlers())),
      remote_changes_(std::make_shared<engine_detail::remote_change_listener>(
          shared_, watchers_, commit_feed_, [this](std::uint32_t shard) { notify_hooks(shard); },
          options_.poll_interval)),
      drain_timer_(options_.clock->make_timer(executor)),
      operations_(std::make_unique<engine_detail::operations_service>(*this)),
      random_(seeded(options_.seed))
{
    shared_.active = &active_;
    shared_.due = scanner_.get();
    shared_.suspects = &suspects_;
    shared_.limiter = &limiter_;
    shared_.shards = shards_.get();
    shared_.watching = watchers_.get();
    shared_.calls = this;
    shared_.check_watcher = [this](std::shared_ptr<engine_detail::watcher> waiting) {
        tasks_.start(shared_.executor, check_watcher(std::move(waiting)));
    };
    if (auto* const requests = options_.store->requests())
        requests_ = std::make_shared<engine_detail::request_runner>(shared_, *requests,
                                                                    options_.poll_interval);
    add_schedules();
    shared_.workflows[std::string{core::bulk_workflow}].impl = operations_->bulk_workflow();
}

engine_core::~engine_core()
{
    assert(phase_ == phase::fresh || phase_ == phase::stopped); // see abandon()
}

/// The `engine` object was destroyed. Running handlers and calls keep this object alive until they
/// have ended.
void engine_core::abandon()
{
    const auto before = phase_.load();
    if (before == phase::stopping || before == phase::stopped)
        return;
    if (before == phase::fresh && tasks_.close_if_empty()) {
        phase_ = phase::stopped;
        release_resources();
        return;
    }
    if (before != phase::fresh)
        shared_.log({log_level::error,
                     "an engine was destroyed before async_stop had completed; its handlers are "
                     "cancelled, and it ends when they have ended, if its executor still runs"});
    begin_stop(duration::zero(), [](const failure&) {});
}

/// Destroys the store and everything that the application supplied: its functions may capture
/// clients, which keep this object alive. Nothing runs any longer.
void engine_core::release_resources()
{
    for (const auto& runner : connectors_)
        runner->release_function();
    auto hooks = std::move(hooks_);
    auto retention = std::move(retention_);
    auto connectors = std::move(connectors_);
    auto workflows = std::move(shared_.workflows);
    auto schedules = std::move(schedules_);
    auto requests = std::move(requests_);
    auto roles = std::move(roles_);
    options_.roles.reset();
    auto store = std::move(options_.store);
    hooks_.clear();
    retention_.clear();
    connectors_.clear();
    shared_.workflows.clear();
}

void engine_core::add(std::shared_ptr<const workflow_impl> added)
{
    if (phase_ != phase::fresh)
        throw definition_error("workflow \"" + added->rules.name +
                               "\": add() it before the engine is started; it was started already");
    if (added->rules.name.starts_with(engine_detail::reserved_prefix))
        throw definition_error("workflow \"" + added->rules.name +
                               "\": names that begin with \"pawl.\" are Pawl's own");
    const auto [added_entry, is_new] = shared_.workflows.try_emplace(added->rules.name);
    if (!is_new)
        throw definition_error("the engine already has a workflow named \"" + added->rules.name +
                               "\"");
    auto& entry = added_entry->second;
    entry.impl = added;
    for (const auto& status : added->rules.statuses)
        add_limits(entry, status);
    engine_detail::log_follower* follower = nullptr;
    if (!added->hooks.empty()) {
        hooks_.push_back(std::make_unique<engine_detail::hook_runner>(
            shared_, *added,
            engine_detail::hook_rules{options_.hook_retry, options_.hook_attempt_timeout}));
        follower = &hooks_.back()->follower();
    }
    if (added->retention)
        retention_.push_back(std::make_shared<engine_detail::retention_runner>(
            shared_, *added, follower, *consumers_));
}

/// Adds the limits of a status's step.
void engine_core::add_limits(engine_detail::engine_workflow& entry, const status_rules& status)
{
    engine_detail::limited_step* step = nullptr;
    try {
        step = limiter_.add_step(*entry.impl, status, options_.max_active_runs,
                                 options_.max_limited_runs);
    } catch (...) {
        const auto name = entry.impl->rules.name;
        shared_.workflows.erase(name);
        throw;
    }
    if (step)
        entry.limited_steps.emplace(status.id, step);
    add_limits_workflow();
}

void engine_core::handle_commit(const change& change, const apply_result* result)
{
    const auto* stored = std::get_if<transition>(&change);
    if (!stored || (result && result->status != apply_status::accepted))
        return;
    const auto shard = shared_.shard_of(stored->next);
    // The answer may come late: when the engine has lost the shard, another engine may have moved
    // the run on. A run that is started has no watchers yet.
    const bool is_present = stored->epoch != 0 && shared_.epochs[shard] == stored->epoch;
    if (result)
        watchers_->offer_transition(*stored, is_present);
    if (!result)
        recheck_->recheck_run(stored->next.id);
    else if (shared_.observer)
        shared_.observer->committed(*stored);
    if (result && is_finished(stored->next.state))
        recheck_->ask_store(stored->next.id);
    // Hooks read from the log whether the transition was stored.
    for (const auto& runner : hooks_)
        runner->follower().note_commit(*stored);
    commit_feed_->publish_commit(*stored, shard);
}

run_id engine_core::new_run_id()
{
    const std::lock_guard lock{mutex_};
    return ids_.make(shared_.clock.now(), random_());
}

void engine_core::start(completion<> done)
{
    auto expected = phase::fresh;
    if (!phase_.compare_exchange_strong(expected, phase::starting)) {
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running));
        return;
    }
    if (tasks_.enter())
        tasks_.start(shared_.executor, finish_start(std::move(done)));
    else
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running));
}

asio::awaitable<void> engine_core::finish_start(completion<> done)
{
    failure result;
    try {
        co_await do_start();
    } catch (...) {
        result = failure_of(std::current_exception());
        shared_.log({log_level::error, "the engine cannot start: " +
                                           detail::exception_text(std::current_exception())});
    }
    if (result && !options_.client_only)
        co_await shards_->release_shards();
    auto expected = phase::starting;
    if (!phase_.compare_exchange_strong(expected, result ? phase::fresh : phase::running))
        result = errc::not_running; // stopped meanwhile
    else if (!result)
        start_parts();
    notify_observer(running() ? engine_state::running : engine_state::stopped);
    async::complete(shared_.executor, std::move(done), std::move(result));
}

asio::awaitable<void> engine_core::do_start()
{
    notify_observer(engine_state::starting);
    check_uses();
    co_await read_layout();
    auto definitions = co_await read_definitions();
    const auto plan = co_await make_plan(definitions);
    check_labels(plan);
    if (options_.client_only)
        co_return;
    check_unfinished(plan);
    // In a shared store other engines may be about to start: undriven workflows are reported later.
    if (!shared_.store.shared())
        co_await report_undriven({});
    co_await append_definitions(definitions);
    for (const auto& runner : hooks_)
        co_await runner->create_cursors();
    co_await engine_detail::read_limit_numbers(shared_);
    co_await shards_->claim_first_shards();
}

/// In a shared store each workflow has shards of its own.
asio::awaitable<void> engine_core::read_layout()
{
    if (!shared_.store.shared())
        co_return;
    co_await clock_.follow_store(shared_.store);
    std::vector<std::string> names;
    for (const auto& [name, entry] : shared_.workflows)
        if (!core::has_shard_homes(name))
            names.push_back(name);
    const auto first = co_await shared_.store.first_shards(names);
    std::map<std::string, std::uint32_t, std::less<>> first_shards;
    for (std::size_t i = 0; i < names.size(); ++i)
        first_shards.emplace(names[i], first.at(i));
    shared_.layout = {shared_.store.shards(), std::move(first_shards)};
    const auto count = shared_.layout.count();
    shared_.epochs = std::vector<std::atomic<std::uint64_t>>(count + 1);
    scanner_->set_shards(count);
    suspects_.set_shards(count);
    remote_changes_->set_shards(count);
    for (const auto& runner : hooks_)
        runner->follower().set_shards(count);
}

engine_detail::shard_manager::handlers engine_core::shard_handlers()
{
    engine_detail::shard_manager::handlers callbacks;
    callbacks.engines_changed = [this](std::vector<core::engine_facts> alive) {
        return report_undriven(std::move(alive));
    };
    callbacks.polled = [this](const std::vector<core::engine_facts>& alive) {
        divide_limits(alive);
    };
    callbacks.acquired = [this](std::vector<std::uint32_t> shards) {
        return take_shards(std::move(shards));
    };
    callbacks.dropped = [this](const std::vector<std::uint32_t>& shards) {
        drop_shards(shards);
    };
    callbacks.interrupt = [this](const std::vector<std::uint32_t>&) {
        active_.check_ownership();
    };
    callbacks.busy = [this](std::uint32_t shard) {
        return active_.any_in(shard);
    };
    return callbacks;
}

asio::awaitable<void> engine_core::take_shards(std::vector<std::uint32_t> shards)
{
    co_await move_retired();
    for (const auto shard : shards) {
        scanner_->rescan_shard(shard);
        for (const auto& runner : hooks_)
            if (shared_.layout.shards_of(runner->workflow()).contains(shard))
                runner->follower().follow_shard(shard);
    }
    for (const auto& runner : retention_)
        runner->restart_round();
    update_share();
}

void engine_core::notify_hooks(std::uint32_t shard)
{
    for (const auto& runner : hooks_)
        if (shared_.layout.shards_of(runner->workflow()).contains(shard))
            runner->follower().notify_shard(shard);
}

void engine_core::drop_shards(const std::vector<std::uint32_t>& shards)
{
    for (const auto shard : shards) {
        scanner_->forget_shard(shard);
        for (const auto& runner : hooks_)
            if (shared_.layout.shards_of(runner->workflow()).contains(shard))
                runner->follower().drop_shard(shard);
    }
    remote_changes_->note_dropped_shards();
    update_share();
}

error_code engine_core::readiness() const noexcept
{
    if (!running())
        return make_error_code(errc::not_running);
    if (committer_.refused_for_good())
        return make_error_code(errc::store_flush_failed);
    if (!shards_->reachable() || !remote_changes_->reachable())
        return make_error_code(errc::store_unavailable);
    if (scanner_->stalls().stalled_for() > duration::zero())
        return make_error_code(errc::stalled);
    return {};
}

void engine_core::notify_observer(engine_state state) const
{
    if (shared_.observer)
        for (const auto& [name, entry] : shared_.workflows)
            shared_.observer->engine_changed(name, state);
}

void engine_core::start_parts()
{
    remote_changes_->start();
    if (options_.client_only)
        return;
    shards_->start();
    if (limit_leases_)
        limit_leases_->start();
    scanner_->start();
    for (const auto& runner : hooks_)
        runner->follower().start();
    // Retention must know all consumers before it starts.
    start_connectors();
    for (const auto& runner : retention_)
        runner->start();
    if (requests_)
        requests_->start();
}

bool engine_core::called_by_handler() const
{
    const std::lock_guard lock{mutex_}; // against release_resources()
    if (phase_ == phase::stopped)
        return false;
    return active_.run_here() ||
           std::ranges::any_of(hooks_,
                               [](const auto& runner) { return runner->follower().runs_here(); }) ||
           std::ranges::any_of(connectors_,
                               [](const auto& runner) { return runner->runs_here(); }) ||
           std::ranges::any_of(redrivers_, [](const auto& known) {
               const auto redriving = known.lock();
               return redriving && redriving->runs_here();
           });
}

bool engine_core::admits() const
{
    const auto now = phase_.load();
    return now == phase::running ||
           (now == phase::stopping && !shared_.cancelling && called_by_handler());
}

void engine_core::stop(duration drain, completion<> done)
{
    if (called_by_handler()) {
        // The stop would wait for the calling handler.
        async::complete(shared_.executor, std::move(done),
                        make_error_code(errc::called_by_handler));
        return;
    }
    begin_stop(drain, std::move(done));
}

void engine_core::begin_stop(duration drain, completion<> done)
{
    auto slot = done.get_cancellation_slot();
    const auto waiter = std::make_shared<stop_waiter>(std::move(done));
    if (slot.is_connected())
        slot.assign([weak = weak_from_this(),
                     weak_waiter = std::weak_ptr{waiter}](asio::cancellation_type) {
            const auto self = weak.lock();
            const auto cancelled = weak_waiter.lock();
            if (self && cancelled)
                self->cancel_stop_wait(cancelled);
        });
    {
        const std::lock_guard lock{mutex_};
        const auto before = phase_.load();
        if (before == phase::stopped) {
            async::complete(shared_.executor, std::move(*waiter->done), error_code{});
            waiter->done.reset();
            return;
        }
        stop_waiters_.push_back(waiter);
        phase_ = phase::stopping;
        if (before == phase::stopping)
            return;
    }
    shared_.stopping = true;
    active_.stop();
    scanner_->stop();
    shards_->stop();
    for (const auto& runner : hooks_)
        runner->follower().stop();
    for (const auto& runner : retention_)
        runner->stop();
    for (const auto& runner : connectors_)
        runner->stop();
    if (requests_)
        requests_->stop();
    drain_timer_->wait(std::max(drain, duration::zero()),
                       asio::bind_executor(shared_.executor, [weak = weak_from_this()] {
                           if (const auto self = weak.lock())
                               self->cancel_handlers();
                       }));
    tasks_.close_when_empty([self = shared_from_this()] { self->end_background(); });
}

/// Ends the wait; the stop continues.
void engine_core::cancel_stop_wait(const std::shared_ptr<stop_waiter>& waiter)
{
    const std::lock_guard lock{mutex_};
    std::erase(stop_waiters_, waiter);
    if (auto done = std::exchange(waiter->done, std::nullopt))
        async::complete(shared_.executor, std::move(*done),
                        error_code{asio::error::operation_aborted});
}

/// The drain is over.
void engine_core::cancel_handlers()
{
    const std::lock_guard lock{mutex_}; // against release_resources()
    if (phase_ != phase::stopping)
        return;
    shared_.cancelling = true;
    active_.interrupt_all();
    watchers_->stop();
    recheck_->stop();
    shards_->stop_renewing();
    for (const auto& runner : hooks_)
        runner->follower().interrupt();
    for (const auto& runner : retention_)
        runner->interrupt();
    for (const auto& runner : connectors_)
        runner->interrupt();
    interrupt_redrivers();
}

/// The last handler and the last call have ended, and no further one begins.
void engine_core::end_background()
{
    shared_.cancelling = true;
    drain_timer_->cancel();
    watchers_->stop();
    recheck_->stop();
    remote_changes_->stop();
    shards_->stop_renewing();
    if (limit_leases_)
        limit_leases_->stop();
    background_tasks_.close_when_empty([self = shared_from_this()] {
        // Not through the task scope: the engine may be destroyed as soon as the waiters complete.
        asio::co_spawn(self->shared_.executor, self->shards_->release_shards(),
                       [self](const std::exception_ptr&) { self->finish_stop(); });
    });
}

void engine_core::finish_stop()
{
    std::vector<std::shared_ptr<stop_waiter>> waiters;
    {
        const std::lock_guard lock{mutex_};
        phase_ = phase::stopped;
        notify_observer(engine_state::stopped);
        waiters = std::move(stop_waiters_);
    }
    release_resources();
    for (const auto& waiter : waiters) {
        const std::lock_guard lock{mutex_};
        if (auto done = std::exchange(waiter->done, std::nullopt))
            async::complete(shared_.executor, std::move(*done), error_code{});
    }
}

} // namespace pawl::detail
