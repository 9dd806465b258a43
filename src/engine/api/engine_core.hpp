#pragma once

#include "async/task_scope.hpp"
#include "core/run_id.hpp"
#include "engine/api/engine_parts.hpp"
#include "engine/background/connector_runner.hpp"
#include "engine/background/hook_runner.hpp"
#include "engine/background/limit_overrides.hpp"
#include "engine/background/log_consumers.hpp"
#include "engine/background/redriver.hpp"
#include "engine/background/request_runner.hpp"
#include "engine/background/retention_runner.hpp"
#include "engine/background/schedules.hpp"
#include "engine/cluster/definition_log.hpp"
#include "engine/cluster/limit_leases.hpp"
#include "engine/cluster/remote_change_listener.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/commit_queue.hpp"
#include "engine/run/crash_suspects.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/run_calls.hpp"
#include "engine/run/run_limiter.hpp"
#include "engine/waits/watcher_recheck.hpp"
#include "engine/waits/watchers.hpp"
#include "pawl/detail/engine_api.hpp"
#include "pawl/detail/limits_api.hpp"
#include "pawl/engine.hpp"
#include "streams/commit_feed.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace pawl::engine_detail {
class audited_changes;
class bulk_service;
class bulk_worker;
class connector_reader;
class operations_service;
class run_reader;
class run_remover;
class schedule_control;
} // namespace pawl::engine_detail

namespace pawl::detail {

/// The implementation of `pawl::engine` and its clients. It owns the engine's parts, starts and
/// stops them, and runs each call as a coroutine that ends in the call's completion handler.
class engine_core final : public engine_api,
                          public limits_api,
                          private engine_detail::run_calls,
                          public std::enable_shared_from_this<engine_core> {
public:
    engine_core(boost::asio::any_io_executor executor, engine_options options);
    ~engine_core() override;

    void add(std::shared_ptr<const workflow_impl> added);
    void connect(connector_impl added);
    std::shared_ptr<event_source> events(std::string workflow, workflow_event_options options);
    void start(completion<> done);
    void stop(duration drain, completion<> done);
    void plan(completion<std::vector<start_plan>> done);
    void statistics(completion<engine_statistics> done);
    void cluster(completion<cluster_view> done);
    void abandon();
    void redrive(std::string topic, completion<redrive_result> done);
    bool running() const noexcept { return phase_ == phase::running; }

    /// Belongs to this object.
    engine_detail::operations_service& operations() noexcept { return *operations_; }

    /// Whether a call is admitted: while the engine runs; calls of its own handlers also until the
    /// drain of a stop is over.
    bool admits() const;
    error_code readiness() const noexcept;

    boost::asio::any_io_executor executor() const override { return shared_.executor; }
    void trigger(std::shared_ptr<const workflow_impl> workflow, trigger_call call,
                 completion<run_id> done) override;
    void send(std::shared_ptr<const workflow_impl> workflow, send_call call,
              completion<settlement> done) override;
    void start_or_send(std::shared_ptr<const workflow_impl> workflow, trigger_call start,
                       send_call callback, completion<run_id> done) override;
    void warn(std::string_view workflow, std::string_view text) override;
    void await(std::string workflow, run_id run, std::optional<std::vector<int>> statuses,
               completion<record> done) override;
    void set_schedule(std::shared_ptr<const workflow_impl> workflow, schedule_call call,
                      completion<> done) override;
    void list_schedules(std::string workflow, completion<std::vector<schedule_info>> done) override;
    void command_schedule(std::string workflow, std::string name, schedule_command command,
                          completion<> done) override;
    void list(completion<std::vector<limit_info>> done) override;
    void set(std::string name, limit_options numbers, completion<> done) override;
    void reset(std::string name, completion<> done) override;
    void explain(run_id run, completion<std::optional<limit_wait>> done) override;
    void find(std::string workflow, run_id run, completion<std::optional<record>> done) override;
    void latest(std::string workflow, std::string foreign_id,
                completion<std::optional<record>> done) override;
    void list(record_query query, completion<record_page> done) override;
    void fill_attributes(std::shared_ptr<const workflow_impl> workflow, list_position after,
                         std::size_t limit, completion<attribute_fill> done) override;
    void count(std::string workflow, bool unfinished_only,
               completion<std::vector<status_count>> done) override;
    void history(std::string workflow, run_id run, std::uint64_t after, std::size_t limit,
                 completion<std::vector<event>> done) override;

private:
    friend class engine_detail::audited_changes;
    friend class engine_detail::bulk_service;
    friend class engine_detail::bulk_worker;
    friend class engine_detail::connector_reader;
    friend class engine_detail::operations_service;
    friend class engine_detail::run_reader;
    friend class engine_detail::run_remover;
    friend class engine_detail::schedule_control;

    struct sent_message {
        run_id run;
        settlement state;
    };

    template <class T>
    using result = boost::system::result<T, failure>;

    /// A caller that waits for the end of a stop.
    struct stop_waiter {
        std::optional<completion<>> done;
    };
    void cancel_stop_wait(const std::shared_ptr<stop_waiter>& waiter);

    enum class phase { fresh, starting, running, stopping, stopped };

    /// `Returned` is T or result<T>. Expected errors are returned, because throwing one costs more
    /// than the rest of the call.
    template <class T, class Returned>
    void launch(boost::asio::awaitable<Returned> work, completion<T> done);
    void launch(boost::asio::awaitable<void> work, completion<> done);
    template <class T, class Returned>
    boost::asio::awaitable<void> finish(boost::asio::awaitable<Returned> work, completion<T> done);
    boost::asio::awaitable<void> finish(boost::asio::awaitable<void> work, completion<> done);
    boost::asio::awaitable<void> finish_start(completion<> done);
    void finish_stop();
    void release_resources();

    boost::asio::awaitable<void> do_start();
    boost::asio::awaitable<void> read_layout();
    engine_detail::shard_manager::handlers shard_handlers();
    boost::asio::awaitable<void> take_shards(std::vector<std::uint32_t> shards);
    void notify_hooks(std::uint32_t shard);
    void drop_shards(const std::vector<std::uint32_t>& shards);
    boost::asio::awaitable<cluster_view> read_cluster();
    boost::asio::awaitable<engine_statistics> read_statistics();
    boost::asio::awaitable<void> read_due_lag(engine_statistics& now);
    using definition_logs = std::map<std::string, engine_detail::definition_log, std::less<>>;
    boost::asio::awaitable<definition_logs> read_definitions();
    boost::asio::awaitable<std::vector<start_plan>> read_plan();
    boost::asio::awaitable<std::vector<start_plan>> make_plan(const definition_logs& definitions);
    static void plan_status(start_plan& entry, const workflow_impl& workflow,
                            const engine_detail::definition_log* log);
    void check_uses() const;
    void check_labels(const std::vector<start_plan>& plan) const;
    void check_unfinished(const std::vector<start_plan>& plan) const;
    boost::asio::awaitable<void> append_definitions(definition_logs& definitions);
    void notify_observer(engine_state state) const;
    boost::asio::awaitable<std::set<std::string>>
    driven_elsewhere(std::vector<std::string> workflows, std::vector<core::engine_facts> alive);
    boost::asio::awaitable<std::vector<undriven_workflow>>
    find_undriven(std::vector<core::engine_facts> alive);
    boost::asio::awaitable<void> report_undriven(std::vector<core::engine_facts> alive);
    boost::asio::awaitable<void> move_retired();
    boost::asio::awaitable<void> move_retired(const workflow_impl& workflow);
    bool called_by_handler() const;
    void begin_stop(duration drain, completion<> done);
    void cancel_handlers();
    void end_background();
    void start_parts();

    result<engine_detail::pending_commit> first_commit(const workflow_impl& workflow,
                                                       trigger_call call);
    run_id begin_run(const apply_result& stored, engine_detail::pending_commit& item,
                     const engine_detail::noted_ends& noted, bool inside_call);
    struct waiting_trigger;
    std::pair<failure, run_id> end_trigger(engine_detail::pending_commit& item,
                                           const engine_detail::noted_ends& noted);
    /// @param companion is stored in the transaction of the run.
    boost::asio::awaitable<result<run_id>> do_trigger(std::shared_ptr<const workflow_impl> workflow,
                                                      trigger_call call, bool inside_call,
                                                      std::optional<publication> companion = {});
    void trigger_without_coroutine(const workflow_impl& workflow, trigger_call call,
                                   completion<run_id> done);
    boost::asio::awaitable<sent_message> do_send(const workflow_impl& workflow, send_call call,
                                                 std::optional<run_id> caller = {});
    message make_message(const std::string& workflow, const workflow_impl* known, send_call call);
    /// @param max_pending see delivery.
    /// @param companion is stored in the transaction of the message.
    boost::asio::awaitable<result<sent_message>> deliver(record receiver, message content,
                                                         std::uint32_t max_pending,
                                                         std::optional<publication> companion = {});
    boost::asio::awaitable<settlement> await_settlement(run_id run, std::uint64_t sequence,
                                                        duration limit);
    std::uint32_t max_pending_of(message_kind kind) const;
    boost::asio::awaitable<result<sent_message>> deliver_to_latest(std::string workflow,
                                                                   std::string foreign_id,
                                                                   message content,
                                                                   time_point since);
    boost::asio::awaitable<std::optional<sent_message>>
    find_delivered(const record& latest, const message& content, time_point since);
    boost::asio::awaitable<void> send_callback(std::string workflow, send_call call,
                                               time_point since) override;
    boost::asio::awaitable<run_id> start_child(std::shared_ptr<const workflow_impl> workflow,
                                               trigger_call child) override;
    boost::asio::awaitable<void> notify_parent(record child) override;
    boost::asio::awaitable<void> cancel_children(run_id parent) override;
    boost::asio::awaitable<void> cancel_with_parent(record child) override;
    boost::asio::awaitable<run_id> do_start_or_send(std::shared_ptr<const workflow_impl> workflow,
                                                    trigger_call start, send_call callback);
    boost::asio::awaitable<void>
    finish_send(std::shared_ptr<const workflow_impl> workflow, send_call call,
                std::optional<run_id> caller,
                std::shared_ptr<engine_detail::message_watcher> waiting);
    boost::asio::awaitable<record> find_receiver(const std::string& workflow, const run_ref& run);
    boost::asio::awaitable<void> check_watcher(std::shared_ptr<engine_detail::watcher> waiting);
    std::string too_large_text(const char* subject, std::size_t size) const;
    std::string overloaded_text() const;
    void check_early(const failure& early, const std::string& workflow, const char* subject);
    bool count_waiting_call();
    boost::asio::awaitable<result<apply_result>> commit_call(engine_detail::pending_commit& item);
    result<apply_result> result_of(const engine_detail::pending_commit& item);

    /// How the dead letters of a topic are redriven.
    struct letter_rules {
        engine_detail::redriver::try_function try_letter;
        duration limit{};
    };
    letter_rules rules_of(const std::string& topic);
    boost::asio::awaitable<redrive_result> do_redrive(std::string topic);
    boost::asio::awaitable<void> send_again(std::shared_ptr<const workflow_impl> workflow,
                                            stream_event letter);
    void interrupt_redrivers();

    boost::asio::awaitable<std::vector<limit_info>> read_limits();
    boost::asio::awaitable<std::optional<limit_wait>> explain_wait(run_id run);

    void start_connectors();
    void add_schedules();
    boost::asio::awaitable<run_id> fire(engine_detail::scheduled_trigger slot);
    boost::asio::awaitable<void> do_set_schedule(std::shared_ptr<const workflow_impl> workflow,
                                                 schedule_call call);
    boost::asio::awaitable<void> do_command_schedule(std::string workflow, std::string name,
                                                     schedule_command command);
    boost::asio::awaitable<settlement> call_internal(std::shared_ptr<const workflow_impl> workflow,
                                                     send_call call);
    boost::asio::awaitable<settlement> call_schedule(std::string key, std::string callback,
                                                     std::string payload);
    boost::asio::awaitable<std::vector<schedule_info>> read_schedules(std::string workflow);

    void add_limits(engine_detail::engine_workflow& entry, const status_rules& status);
    void add_limits_workflow();
    boost::asio::awaitable<void> set_limit(std::string name, limit_options numbers);
    boost::asio::awaitable<void> reset_limit(std::string name);
    boost::asio::awaitable<settlement> call_limit(std::string name, std::string_view callback,
                                                  std::string payload);
    void check_limit_name(const std::string& name) const;
    void divide_limits(const std::vector<core::engine_facts>& alive);
    void update_share();
    void handle_commit(const change& change, const apply_result* result);
    run_id new_run_id();

    engine_options options_; ///< the store is released when the engine has stopped
    engine_detail::engine_clock clock_;
    async::task_scope tasks_;
    async::task_scope background_tasks_;
    engine_detail::commit_queue committer_;
    engine_detail::engine_parts shared_;
    engine_detail::active_runs active_;
    engine_detail::run_limiter limiter_;
    std::shared_ptr<streams::commit_feed> commit_feed_ = std::make_shared<streams::commit_feed>();
    engine_detail::crash_suspects suspects_;
    std::shared_ptr<engine_detail::due_scanner> scanner_;
    std::shared_ptr<engine_detail::watchers> watchers_;
    std::shared_ptr<engine_detail::watcher_recheck> recheck_;
    std::shared_ptr<engine_detail::shard_manager> shards_;
    std::shared_ptr<engine_detail::limit_leases> limit_leases_; ///< null unless limits are shared
    std::shared_ptr<engine_detail::remote_change_listener> remote_changes_;
    const std::unique_ptr<engine_detail::log_consumers> consumers_ =
        std::make_unique<engine_detail::log_consumers>();
    std::vector<std::unique_ptr<engine_detail::hook_runner>> hooks_;
    std::vector<std::shared_ptr<engine_detail::retention_runner>> retention_;
    std::vector<std::shared_ptr<engine_detail::connector_runner>> connectors_;
    std::shared_ptr<engine_detail::request_runner> requests_; ///< null if the store has no requests
    std::shared_ptr<role_scheduler> roles_; ///< null without connectors that need it
    std::shared_ptr<const workflow_impl> schedules_;
    std::unique_ptr<timer> drain_timer_;
    const std::unique_ptr<engine_detail::operations_service> operations_;

    std::atomic<phase> phase_{phase::fresh};
    mutable std::mutex
        mutex_; ///< guards changes of phase_, stop_waiters_, redrivers_, ids_ and random_
    std::vector<std::shared_ptr<stop_waiter>> stop_waiters_;
    std::vector<std::weak_ptr<engine_detail::redriver>> redrivers_;
    core::run_id_generator ids_;
    std::mt19937_64 random_;
    std::atomic<std::size_t> waiting_calls_{0};
};

} // namespace pawl::detail
