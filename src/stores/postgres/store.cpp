#include "pawl/error.hpp"
#include "pawl/postgres.hpp"
#include "pawl/postgres_load.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/batch.hpp"
#include "stores/postgres/batch_writer.hpp"
#include "stores/postgres/divided_batch.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/finder.hpp"
#include "stores/postgres/joint_transaction.hpp"
#include "stores/postgres/lock_queue.hpp"
#include "stores/postgres/lost_commit_detector.hpp"
#include "stores/postgres/notifier.hpp"
#include "stores/postgres/options.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/schema.hpp"
#include "stores/postgres/schema_memory.hpp"
#include "stores/postgres/sql_requests.hpp"
#include "stores/postgres/transaction_sessions.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

namespace pawl {

namespace {

namespace asio = boost::asio;
using namespace postgres;

/// How long after statement_timeout the answer of a live server may arrive.
constexpr std::chrono::seconds answer_grace{5};

/// Of postgres_load::requests.
constexpr std::uint64_t max_counted_requests = 10'000;

pool::settings pool_settings(std::shared_ptr<const target> server,
                             std::shared_ptr<warning_log> warnings, const postgres_options& options)
{
    return {.server = std::move(server),
            .warnings = std::move(warnings),
            .prepares = !options.poll_only,
            .answer_limit = options.statement_timeout + answer_grace,
            .reconnect_backoff_initial = options.reconnect_backoff_initial,
            .reconnect_backoff_max = options.reconnect_backoff_max};
}

std::shared_ptr<pool>
make_writers(const asio::any_io_executor& executor, std::shared_ptr<const target> server,
             std::shared_ptr<warning_log> warnings, std::shared_ptr<schema_memory> schema,
             std::shared_ptr<lost_commit_detector> detector, const postgres_options& options)
{
    auto settings = pool_settings(std::move(server), std::move(warnings), options);
    settings.schema = std::move(schema);
    // The database may have lost commits while there was no session.
    settings.on_open = [detector = std::move(detector)](connection& link) {
        return detector->fence_lost_shards(link);
    };
    return std::make_shared<pool>(executor, std::move(settings));
}

std::shared_ptr<pool> make_readers(const asio::any_io_executor& executor,
                                   std::shared_ptr<const target> server,
                                   std::shared_ptr<warning_log> warnings,
                                   const postgres_options& options)
{
    auto settings = pool_settings(std::move(server), std::move(warnings), options);
    settings.connections = options.read_connections;
    settings.on_lost_answer = lost_answer::resend;
    return std::make_shared<pool>(executor, std::move(settings));
}

/// Completes a call of several statements although its caller is cancelled meanwhile: else the next
/// statement would not be sent, and the results of those before would be lost.
template <typename Result>
asio::awaitable<Result> complete_call(asio::awaitable<Result> call)
{
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    std::optional<Result> result;
    std::exception_ptr failure;
    try {
        auto value = co_await std::move(call);
        result.emplace(std::move(value));
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (failure)
        std::rethrow_exception(failure);
    co_return std::move(*result);
}

/// Sessions for leases alone, so that a renewal waits for no batch.
std::shared_ptr<pool> make_lease_sessions(const asio::any_io_executor& executor,
                                          std::shared_ptr<const target> server,
                                          std::shared_ptr<warning_log> warnings,
                                          const postgres_options& options)
{
    return std::make_shared<pool>(executor,
                                  pool_settings(std::move(server), std::move(warnings), options));
}

/// Holds only immutable and shared parts: each call is a coroutine of its caller that uses a pool.
class postgres_store final : public record_store {
public:
    postgres_store(const asio::any_io_executor& executor, std::shared_ptr<const target> server,
                   std::shared_ptr<warning_log> warnings, const postgres_options& options,
                   const schema_facts& facts)
        : lock_timeout_(options.lock_timeout),
          short_lock_timeout_(std::min(lock_timeout_, lock_queue::short_lock_timeout)),
          warnings_(std::move(warnings)),
          schema_(std::make_shared<schema_memory>(options.schema, server->name(), facts)),
          statements_(std::make_shared<const queries>(options.schema, schema_->shards())),
          detector_(std::make_shared<lost_commit_detector>(statements_, warnings_)),
          writers_(make_writers(executor, server, warnings_, schema_, detector_, options)),
          lease_sessions_(make_lease_sessions(executor, server, warnings_, options)),
          readers_(make_readers(executor, server, warnings_, options)),
          finder_(std::make_shared<finder>(executor, readers_, statements_)),
          notifier_(std::make_shared<notifier>(executor, readers_, server, statements_, warnings_,
                                               options)),
          requests_(readers_, statements_, notifier_),
          writer_(std::make_shared<batch_writer>(
              batch_writer::parts{statements_, schema_, detector_, writers_, readers_, notifier_})),
          lock_sessions_(make_writers(executor, server, warnings_, schema_, detector_, options)),
          lock_queue_(std::make_shared<lock_queue>(executor, writer_, lock_sessions_)),
          transactions_(std::make_shared<transaction_sessions>(
              executor, transaction_sessions::settings{
                            server, warnings_, schema_, detector_, options.transaction_connections,
                            !options.poll_only, options.statement_timeout + answer_grace}))
    {
        for (const auto& [name, location] : facts.workflows)
            writer_->add_shards(location);
    }

    std::uint32_t shards() const noexcept override { return schema_->shards(); }
    bool shared() const noexcept override { return true; }

    asio::awaitable<std::vector<std::uint32_t>>
    first_shards(std::vector<std::string> workflows) override
    {
        return complete_call(add_workflows(std::move(workflows)));
    }

    asio::awaitable<std::optional<time_point>> now() override
    {
        auto rows = co_await readers_->run(statements_->now());
        std::optional<time_point> now;
        if (rows.next())
            rows.read(now);
        co_return now;
    }

    asio::awaitable<std::vector<apply_result>> apply(std::span<const change> batch) override
    {
        return complete_call(apply_parts(batch));
    }

    asio::awaitable<applied_batch> apply_apart(std::span<const change> batch) override
    {
        return complete_call(apply_parts_apart(batch));
    }

    std::unique_ptr<store_transaction> make_transaction(transaction_work work) override
    {
        if (auto* const function = std::get_if<joint_transaction::work_function>(&work))
            return std::make_unique<joint_transaction>(transactions_, writer_, lock_timeout_,
                                                       std::move(*function));
        return record_store::make_transaction(std::move(work));
    }

    asio::awaitable<std::optional<record>> find(run_id id) override { return finder_->find(id); }

    asio::awaitable<std::optional<record>> latest(std::string_view workflow,
                                                  std::string_view foreign_id) override
    {
        auto rows = co_await readers_->run(statements_->latest(workflow, foreign_id));
        co_return queries::read_record_if_any(std::move(rows));
    }

    asio::awaitable<record_page> list(const record_query& query) override
    {
        core::check_query(query);
        if (core::matches_nothing(query))
            co_return record_page{};
        auto rows = co_await readers_->run(statements_->list(query));
        co_return queries::read_page(std::move(rows), query.limit);
    }

    asio::awaitable<std::vector<status_count>> count(std::string_view workflow,
                                                     bool unfinished_only) override
    {
        auto rows = co_await readers_->run(statements_->count(workflow));
        co_return queries::read_counts(std::move(rows), unfinished_only);
    }

    asio::awaitable<child_counts> count_children(run_id parent) override
    {
        auto rows = co_await readers_->run(statements_->count_children(parent));
        co_return queries::read_child_counts(std::move(rows));
    }

    asio::awaitable<std::vector<record>> finished_before(std::uint32_t shard,
                                                         std::string_view workflow,
                                                         time_point before,
                                                         std::size_t limit) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows =
            co_await readers_->run(statements_->finished_before(shard, workflow, before, limit));
        co_return queries::read_records(std::move(rows));
    }

    asio::awaitable<std::vector<record>> finished_behind(std::uint32_t shard,
                                                         std::string_view workflow,
                                                         finished_position after, time_point before,
                                                         std::size_t limit) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows = co_await readers_->run(
            statements_->finished_behind(shard, workflow, after, before, limit));
        co_return queries::read_records(std::move(rows));
    }

    asio::awaitable<std::uint64_t> log_end(std::uint32_t shard) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows = co_await readers_->run(statements_->log_end(shard));
        co_return queries::read_position(std::move(rows));
    }

    asio::awaitable<due_page> due(std::uint32_t shard, due_position from, time_point until,
                                  std::size_t limit) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows = co_await readers_->run(statements_->due(shard, from, until, limit));
        co_return queries::read_due(std::move(rows), until, limit);
    }

    asio::awaitable<std::vector<event>> events(std::uint32_t shard, std::uint64_t after,
                                               std::size_t limit) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows = co_await readers_->run(statements_->events(shard, after, limit));
        auto page = queries::read_events(std::move(rows));
        detector_->positions().record(page);
        co_return page;
    }

    asio::awaitable<std::vector<event>> history(run_id run, std::uint64_t after,
                                                std::size_t limit) override
    {
        auto rows = co_await readers_->run(statements_->history(run, after, limit));
        co_return queries::read_events(std::move(rows));
    }

    asio::awaitable<std::vector<message>> inbox(run_id run, std::uint64_t after,
                                                std::size_t limit) override
    {
        auto rows = co_await readers_->run(statements_->inbox(run, after, limit));
        co_return queries::read_messages(std::move(rows), run);
    }

    asio::awaitable<std::optional<settlement>> outcome(run_id run, std::uint64_t sequence) override
    {
        auto rows = co_await readers_->run(statements_->outcome(run, sequence));
        co_return queries::read_settlement(std::move(rows));
    }

    asio::awaitable<std::uint64_t> cursor(std::string_view name, std::uint32_t shard) override
    {
        core::check_shard(shard, writer_->all_shards());
        auto rows = co_await readers_->run(statements_->cursor(name, shard));
        co_return queries::read_position(std::move(rows));
    }

    asio::awaitable<std::vector<lease>> claim(std::vector<std::uint32_t> wanted,
                                              std::string_view owner,
                                              duration lease_duration) override
    {
        return complete_call(claim_shards(std::move(wanted), owner, lease_duration));
    }

    asio::awaitable<void> release(std::vector<lease> held) override
    {
        auto done = complete_call(release_shards(std::move(held)));
        co_await std::move(done);
    }

    asio::awaitable<std::vector<lease>> leases() override
    {
        auto rows = co_await readers_->run(statements_->leases());
        co_return queries::read_leases(std::move(rows));
    }

    asio::awaitable<std::optional<role_lease>>
    claim_role(std::string_view role, std::string_view owner, duration lease_duration) override
    {
        core::check_role(role);
        core::check_owner(owner);
        auto rows = co_await lease_sessions_->run(
            statements_->claim_role(role, owner, lease_duration, short_lock_timeout_));
        auto taken = queries::read_roles(std::move(rows));
        if (taken.empty())
            co_return std::nullopt;
        co_return std::move(taken.front());
    }

    asio::awaitable<void> release_role(role_lease held) override
    {
        co_await lease_sessions_->run(statements_->release_role(held, short_lock_timeout_));
    }

    asio::awaitable<std::vector<role_lease>> roles(std::string_view prefix) override
    {
        auto rows = co_await readers_->run(statements_->roles(prefix));
        co_return queries::read_roles(std::move(rows));
    }

    asio::awaitable<void> forget_roles(std::string_view prefix) override
    {
        co_await lease_sessions_->run(statements_->forget_roles(prefix));
    }

    std::shared_ptr<void> subscribe(change_handler handler) override
    {
        return notifier_->subscribe(std::move(handler));
    }

    request_queue* requests() noexcept override { return &requests_; }

    asio::awaitable<postgres_load> read_load()
    {
        postgres_load load;
        load.pools = {readers_->load("read"), writers_->load("write"),
                      lease_sessions_->load("lease"), lock_sessions_->load("lock"),
                      transactions_->load("transaction")};
        auto rows = co_await readers_->run(statements_->waiting_requests(max_counted_requests + 1));
        if (rows.next()) {
            rows.read(load.requests);
            load.oldest_request = duration{std::max<std::int64_t>(rows.integer(), 0)};
        }
        load.has_more_requests = load.requests > max_counted_requests;
        load.requests = std::min(load.requests, max_counted_requests);
        co_return load;
    }

    asio::awaitable<std::vector<stream_event>>
    topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) override
    {
        auto rows = co_await readers_->run(statements_->topic_events(topic, after, limit));
        co_return queries::read_topic_events(std::move(rows));
    }

    asio::awaitable<std::uint64_t> topic_end(std::string_view topic) override
    {
        auto rows = co_await readers_->run(statements_->topic_end(topic));
        co_return queries::read_position(std::move(rows));
    }

private:
    asio::awaitable<std::vector<std::uint32_t>> add_workflows(std::vector<std::string> workflows)
    {
        std::vector<std::uint32_t> first;
        for (const auto& name : workflows) {
            co_await writer_->ensure_workflow(name, true);
            first.push_back(writer_->first_shard(name));
        }
        co_return first;
    }

    asio::awaitable<std::vector<apply_result>> apply_parts(std::span<const change> batch)
    {
        core::check_batch(batch, writer_->all_shards());
        std::vector<apply_result> results;
        results.reserve(batch.size());
        while (!batch.empty()) {
            const auto part = first_part(batch);
            auto decided = co_await apply_later_part(results.size(), part);
            std::ranges::move(decided, std::back_inserter(results));
            batch = batch.subspan(part.size());
        }
        co_return results;
    }

    asio::awaitable<applied_batch> apply_parts_apart(std::span<const change> batch)
    {
        core::check_batch(batch, writer_->all_shards());
        divided_batch divided{{writer_, lock_queue_, writers_, warnings_, lock_timeout_}};
        while (!batch.empty()) {
            const auto part = first_part(batch);
            co_await divided.apply(part);
            batch = batch.subspan(part.size());
        }
        co_return std::move(divided).finish();
    }

    asio::awaitable<std::vector<lease>>
    claim_shards(std::vector<std::uint32_t> wanted, std::string_view owner, duration lease_duration)
    {
        core::check_claim(wanted, owner, writer_->all_shards());
        if (wanted.empty())
            co_return std::vector<lease>{};
        co_await detector_->fence_lost_shards(*lease_sessions_);
        auto rows =
            co_await lease_sessions_->run(statements_->claim(wanted, owner, lease_duration));
        co_return queries::read_leases(std::move(rows));
    }

    asio::awaitable<bool> release_shards(std::vector<lease> held)
    {
        for (const auto& lease : held)
            core::check_shard(lease.shard, writer_->all_shards());
        if (held.empty())
            co_return true;
        auto rows = co_await lease_sessions_->run(statements_->release_unlocked(held));
        const bool is_done = rows.next() && std::cmp_equal(rows.integer(), held.size());
        if (!is_done)
            co_await lease_sessions_->run(statements_->release(held, short_lock_timeout_));
        co_return true;
    }

    /// The changes to store next, in one statement.
    std::span<const change> first_part(std::span<const change> batch) const
    {
        const auto whole = batch.first(count_for_one_statement(batch));
        const auto in_waves = whole.first(count_within_waves(whole, max_waves));
        const auto fitting = count_fitting(in_waves, max_statement_bytes);
        const auto part = whole.first(count_whole_units(whole, fitting));
        if (part.size() < whole.size())
            warnings_->report(warning::batch_divided, fmt::format("{} of {} changes come first",
                                                                  part.size(), batch.size()));
        return part;
    }

    /// An error that the server reports for one change means that nothing of the batch was stored.
    /// Once `done` changes are stored, the error is reported as store_unavailable instead.
    asio::awaitable<std::vector<apply_result>> apply_later_part(std::size_t done,
                                                                std::span<const change> part)
    {
        try {
            auto results = co_await apply_whole_part(part);
            co_return results;
        } catch (const server_error& refused) {
            if (done == 0)
                throw;
            throw error{errc::store_unavailable,
                        fmt::format("{} (after {} changes of the batch were stored)",
                                    refused.detail(), done)};
        }
    }

    /// Applies the part in one transaction. It waits in the queue for locks that are not free soon.
    asio::awaitable<std::vector<apply_result>> apply_whole_part(std::span<const change> part)
    {
        const auto until = std::chrono::steady_clock::now() + lock_timeout_;
        const bool waits = co_await has_queued_keys(part);
        if (!waits) {
            std::exception_ptr failure;
            try {
                auto results = co_await writer_->apply(writers_, part, short_lock_timeout_);
                co_return results;
            } catch (...) {
                failure = std::current_exception();
            }
            if (!is_lock_timeout(failure) || std::chrono::steady_clock::now() >= until)
                std::rethrow_exception(failure);
        }
        auto results = co_await apply_in_queue(part, until);
        co_return results;
    }

    asio::awaitable<bool> has_queued_keys(std::span<const change> part)
    {
        if (lock_queue_->is_empty())
            co_return false;
        const auto keys = co_await writer_->keys_of(part);
        co_return std::ranges::any_of(keys,
                                      [this](const auto& key) { return lock_queue_->has(key); });
    }

    /// The unit has no keys, so later changes do not wait for it: many of its rows may be unlocked.
    asio::awaitable<std::vector<apply_result>>
    apply_in_queue(std::span<const change> part, std::chrono::steady_clock::time_point until)
    {
        waiting_unit unit;
        unit.changes.assign(part.begin(), part.end());
        for (std::size_t i = 0; i < part.size(); ++i)
            unit.indexes.push_back(i);
        const auto pending = std::make_shared<waiting_batch>();
        unit.owner = pending;
        unit.until = until;
        lock_queue_->push(std::move(unit));
        auto known = co_await pending->next(); // the results of the only unit, all at once
        std::vector<apply_result> results;
        for (auto& late : known) {
            if (late.failure)
                std::rethrow_exception(late.failure);
            results.push_back(std::move(late.result));
        }
        co_return results;
    }

    const duration lock_timeout_;
    const duration short_lock_timeout_; ///< for locks that other calls wait behind
    const std::shared_ptr<warning_log> warnings_;
    const std::shared_ptr<schema_memory> schema_;
    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<lost_commit_detector> detector_;
    const std::shared_ptr<pool> writers_;
    const std::shared_ptr<pool> lease_sessions_;
    const std::shared_ptr<pool> readers_;
    const std::shared_ptr<finder> finder_;
    const std::shared_ptr<notifier> notifier_;
    sql_requests requests_;
    const std::shared_ptr<batch_writer> writer_;
    const std::shared_ptr<pool> lock_sessions_;
    const std::shared_ptr<lock_queue> lock_queue_;
    const std::shared_ptr<transaction_sessions> transactions_;
};

} // namespace

std::shared_ptr<record_store> open_postgres(asio::any_io_executor executor, std::string uri,
                                            postgres_options options)
{
    check(options);
    auto server = std::make_shared<const target>(uri, options);
    auto warnings = std::make_shared<warning_log>(options.log);
    const auto facts = prepare_schema(server, warnings, options);
    return std::make_shared<postgres_store>(executor, std::move(server), std::move(warnings),
                                            options, facts);
}

asio::awaitable<postgres_load> read_postgres_load(std::shared_ptr<record_store> store)
{
    auto* const opened = dynamic_cast<postgres_store*>(store.get());
    if (!opened)
        throw error(errc::invalid_argument,
                    "read_postgres_load: the store was not opened by open_postgres()");
    auto load = co_await opened->read_load();
    co_return load;
}

} // namespace pawl
