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

/// Who has made a change and waits for its result. A run's is told of each of its transitions, so
/// this costs less than a completion handler.
class maker {
public:
    /// The change has a result or a failure. Called on the commit_queue's executor, once; goes on
    /// elsewhere.
    virtual void committed() = 0;

protected:
    ~maker() = default;
};

/// One change on its way to the store. Its maker keeps it alive until it has completed.
struct commit {
    change what;
    apply_result result;
    std::exception_ptr failure; ///< set: the store threw, and nothing is known of the change

    /// Stored in the transaction of the change, if the store takes batches, whatever becomes of the
    /// change; if it applies in place, once the change was accepted.
    std::optional<publication> letter{};

    // One of them is told.
    maker* by = nullptr;
    std::optional<boost::asio::any_completion_handler<void()>> done{};
};

/// Of one transaction.
struct batch_limits {
    std::size_t changes;
    std::size_t bytes; ///< unless one change alone has more
};

/// Group commit: takes everything that waits, applies it as one transaction, hands the results
/// back, and begins again. There is no timer: a change that comes alone is committed alone and at
/// once, and under load the batches grow by themselves while the store is busy. A store that can
/// apply a change in place is given each one where it is made.
///
/// Changes that wait for a lock of another session are handed back when they are decided, and the
/// others at once: so batches go on meanwhile.
///
/// A batch that the store refuses because a change in it is too large, or is none that it can take,
/// is divided until that change alone fails: the others are stored.
///
/// Of the starts of one foreign id that wait together the store gets the first one, which decides
/// the others as well: so a storm of them costs a batch what one start does.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class commit_queue {
public:
    /// Called with each change and its result, before its maker is told; from several threads if
    /// the store applies in place. Without a result when the store threw: nothing is known of the
    /// change.
    using applied_function = std::function<void(const change&, const apply_result*)>;

    /// @param watching may be null.
    commit_queue(boost::asio::any_io_executor executor, record_store& store,
                 async::task_scope& running, batch_limits limits, pawl::observer* watching,
                 const pawl::clock& clock, applied_function applied);

    /// Changes that have no result yet and are not in the batch that is being stored.
    std::size_t waiting() const;

    /// Whether the store takes no changes any more until it is opened again.
    bool refused_for_good() const noexcept { return refused_for_good_; }

    /// Of an apply() that others called.
    void note_failure(const std::exception_ptr& failure) noexcept;

    /// Gives `what` a result or a failure at once, if the store can do that; false if it cannot.
    bool try_apply(commit& what);

    /// Completes when `what` has a result or a failure. Not cancellable.
    template <class Token>
    auto async_submit(commit& what, Token&& token)
    {
        return boost::asio::async_initiate<Token, void()>(
            [](auto handler, commit_queue* self, commit* item) {
                item->done.emplace(std::move(handler));
                self->submit(*item);
            },
            token, this, &what);
    }

    /// The same, and tells `by`.
    void submit(commit& what, maker& by);

    /// Commits the transition in a transaction that a program's work is part of, and tells whoever
    /// is to know. Throws when the transaction does.
    boost::asio::awaitable<void> commit_in(store_transaction& open, commit& what,
                                           const std::function<void(transition&)>& complete);

private:
    /// A commit whose change the store got, and those that it decides: they stand behind it.
    using commit_group = std::vector<commit*>;

    /// Changes of one call of the store that it has not decided yet.
    struct late_changes {
        std::size_t first = 0;            ///< in the batch
        std::vector<std::size_t> indexes; ///< from there
        std::shared_ptr<waiting_changes> pending;
        time_point begun;
        std::map<std::size_t, commit_group> groups; ///< by index; a letter has none
    };

    void submit(commit& item);
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> apply(std::size_t first, std::size_t count);
    boost::asio::awaitable<void> finish_late(std::shared_ptr<late_changes> late);
    bool take_waiting();
    void find_leaders();
    void fill_batch();
    void settle();
    void settle_late(const commit_group& group, late_result known);
    void hand_back(const std::vector<commit*>& decided);

    const boost::asio::any_io_executor executor_;
    record_store& store_;
    async::task_scope& running_;
    const batch_limits limits_;
    pawl::observer* const watching_;
    const pawl::clock& clock_;
    const applied_function applied_;
    std::atomic<bool> refused_for_good_{false};

    mutable std::mutex mutex_;
    std::vector<commit*> waiting_;
    bool working_ = false;

    // Only the one work() coroutine uses these.
    std::vector<commit*> taken_;
    std::vector<std::size_t>
        leaders_; ///< of each taken: itself, or an earlier start that decides it
    std::vector<std::size_t> starts_;
    std::vector<change> batch_;   ///< of the leaders, with their letters
    std::vector<bool> is_letter_; ///< of the batch
    std::vector<apply_result> results_;
    std::vector<std::exception_ptr> failures_; ///< of the batch
    std::vector<std::shared_ptr<late_changes>> late_;
    std::vector<std::size_t> places_; ///< of each leader among the taken: in the batch
    std::vector<commit*> decided_;
    std::atomic<std::size_t> late_count_{0}; ///< commits
};

} // namespace pawl::engine_detail
