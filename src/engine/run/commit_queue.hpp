#pragma once

#include "async/task_scope.hpp"
#include "pawl/clock.hpp"
#include "pawl/observer.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Is notified when its commit is decided. Costs less than a completion handler, which matters
/// because a run waits for each of its transitions.
class commit_listener {
public:
    /// The commit has a result or a failure. Called once, on the executor of the commit_queue; the
    /// listener continues on its own executor.
    virtual void committed() = 0;

protected:
    ~commit_listener() = default;
};

/// One change on its way to the store. Its submitter keeps it alive until it has completed.
struct pending_commit {
    pawl::change change;
    apply_result result;
    std::exception_ptr failure; ///< set: the store threw, and the fate of the change is unknown

    /// A dead letter, or an audit record. A store that takes batches stores it in the transaction
    /// of the change, whether or not it accepts the change; a store that applies in place, once it
    /// has accepted the change.
    std::optional<publication> companion{};

    // One of the two is notified.
    commit_listener* listener = nullptr;
    std::optional<boost::asio::any_completion_handler<void()>> handler{};
};

/// The limits of one transaction.
struct batch_limits {
    std::size_t changes;
    std::size_t bytes; ///< a single change may exceed it
};

/// Group commit: applies all waiting changes as one transaction, hands the results back, and
/// repeats. There is no timer: a single change is committed at once, and under load the batches
/// grow while the store is busy. A store that can apply a change in place gets each change
/// directly.
///
/// A change that waits for a lock of another session is handed back when it is decided. The rest of
/// its batch is handed back at once, so the next batch does not wait.
///
/// If the store refuses a batch because a change in it is too large or invalid, the queue divides
/// the batch until that change fails alone. The other changes are stored.
///
/// Of several waiting starts of one foreign id, the store gets the first one only; its result
/// decides the others. A burst of duplicate starts costs as much as one start.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class commit_queue {
public:
    /// Called with each change and its result before the submitter is notified; from several
    /// threads if the store applies in place. The result is null if the store threw: the fate of
    /// the change is unknown.
    using applied_function = std::function<void(const change&, const apply_result*)>;

    /// @param observer may be null.
    commit_queue(boost::asio::any_io_executor executor, record_store& store,
                 async::task_scope& running, batch_limits limits, pawl::observer* observer,
                 const pawl::clock& clock, applied_function applied);

    /// The number of changes without a result outside the batch that is being stored.
    std::size_t waiting() const;

    /// Whether the store accepts no more changes until it is reopened.
    bool refused_for_good() const noexcept { return refused_for_good_; }

    /// Takes note of the failure of an apply() call outside this queue.
    void note_failure(const std::exception_ptr& failure) noexcept;

    /// Applies the change in this call. Returns false if the store cannot do that.
    bool try_apply(pending_commit& item);

    /// Completes when `item` has a result or a failure. Not cancellable.
    template <class Token>
    auto async_submit(pending_commit& item, Token&& token)
    {
        return boost::asio::async_initiate<Token, void()>(
            [](auto handler, commit_queue* self, pending_commit* submitted) {
                submitted->handler.emplace(std::move(handler));
                self->submit(*submitted);
            },
            token, this, &item);
    }

    /// As async_submit(), but notifies `listener`.
    void submit(pending_commit& item, commit_listener& listener);

    /// Commits the transition in a transaction that contains work of the application, and calls the
    /// observer and the applied function. Throws what the transaction throws.
    boost::asio::awaitable<void> commit_in(store_transaction& open, pending_commit& item,
                                           const std::function<void(transition&)>& complete);

private:
    /// A commit whose change the store gets, followed by the commits that its result decides.
    using commit_group = std::vector<pending_commit*>;

    /// The changes of one call of the store that are not decided yet.
    struct late_changes {
        std::size_t first = 0;            ///< position of the call's first change in the batch
        std::vector<std::size_t> indexes; ///< relative to `first`
        std::shared_ptr<waiting_changes> pending;
        time_point applied_at;
        std::map<std::size_t, commit_group> groups; ///< by index; a dead letter has none
    };

    void submit(pending_commit& item);
    boost::asio::awaitable<void> apply_batches();
    boost::asio::awaitable<void> apply(std::size_t first, std::size_t count);
    void report_batch(std::size_t first, std::size_t count, time_point applied_at, bool failed);
    boost::asio::awaitable<void> finish_late(std::shared_ptr<late_changes> late);
    bool take_waiting();
    void find_leaders();
    void fill_batch();
    void settle();
    void settle_late(const commit_group& group, late_result decided);
    void hand_back(const std::vector<pending_commit*>& decided);

    const boost::asio::any_io_executor executor_;
    record_store& store_;
    async::task_scope& running_;
    const batch_limits limits_;
    pawl::observer* const observer_;
    const pawl::clock& clock_;
    const applied_function applied_;
    std::atomic<bool> refused_for_good_{false};

    mutable std::mutex mutex_;
    std::vector<pending_commit*> waiting_;
    bool working_ = false;

    // Only the one apply_batches() coroutine uses these.
    std::vector<pending_commit*> taken_;
    std::vector<std::size_t> leaders_; ///< by index in taken_: itself, or the start that decides it
    std::vector<std::size_t> starts_;
    std::vector<change> batch_;      ///< the changes of the leaders, with their dead letters
    std::vector<bool> is_companion_; ///< by index in batch_
    std::vector<apply_result> results_;
    std::vector<std::exception_ptr> failures_; ///< by index in batch_
    std::vector<std::shared_ptr<late_changes>> late_;
    std::vector<std::size_t> batch_indexes_; ///< by index in taken_, for leaders
    std::vector<pending_commit*> decided_;
    std::atomic<std::size_t> late_count_{0}; ///< commits that wait for a late result
};

} // namespace pawl::engine_detail
