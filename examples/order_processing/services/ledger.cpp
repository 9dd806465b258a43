#include "services/ledger.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace order_processing::services {

namespace asio = boost::asio;
using pawl::http::response;

namespace {

using completion = asio::any_completion_handler<void(std::exception_ptr, response)>;

struct pending_work {
    ledger::work work;
    completion done;
    asio::any_io_executor executor; ///< keeps its context running until `done` is posted
    response answer;
    std::exception_ptr failure;
};

} // namespace

class ledger::impl {
public:
    impl(std::string file, std::chrono::milliseconds lock_wait)
        : database_(std::move(file), lock_wait), books_(database_),
          begin_(database_, "BEGIN IMMEDIATE"), commit_(database_, "COMMIT"),
          rollback_(database_, "ROLLBACK"), begin_one_(database_, "SAVEPOINT one"),
          keep_one_(database_, "RELEASE one"), undo_one_(database_, "ROLLBACK TO one"),
          thread_([this] { run(); })
    {
    }

    ~impl()
    {
        {
            const std::lock_guard lock{mutex_};
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    void submit(pending_work added)
    {
        {
            const std::lock_guard lock{mutex_};
            queue_.push_back(std::move(added));
        }
        wake_.notify_one();
    }

private:
    void run()
    {
        std::vector<pending_work> batch;
        while (take_batch(batch)) {
            try {
                execute(begin_);
                for (auto& item : batch)
                    perform_one(item);
                execute(commit_);
            } catch (...) {
                undo_batch(batch, std::current_exception());
            }
            for (auto& item : batch)
                asio::post(item.executor,
                           asio::append(std::move(item.done), std::move(item.failure),
                                        std::move(item.answer)));
            batch.clear();
        }
    }

    /// Waits for work; false when the ledger stops and no work is left.
    bool take_batch(std::vector<pending_work>& batch)
    {
        std::unique_lock lock{mutex_};
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        batch.swap(queue_);
        return !batch.empty();
    }

    void perform_one(pending_work& item)
    {
        execute(begin_one_);
        try {
            item.answer = item.work(books_);
        } catch (...) {
            // Some errors, for example a full disk, make SQLite roll back the whole transaction.
            if (!database_.in_transaction())
                throw;
            item.failure = std::current_exception();
            execute(undo_one_);
            books_.reload();
        }
        execute(keep_one_);
    }

    /// Rolls back the batch: none of its answers may be sent.
    void undo_batch(std::vector<pending_work>& batch, const std::exception_ptr& failure)
    {
        for (auto& item : batch)
            item.failure = failure;
        try {
            if (database_.in_transaction())
                execute(rollback_);
            books_.reload();
        } catch (const ledger_error&) {
            // The batch has failed with the first error already; the next batch will show
            // whether this error persists.
        }
    }

    database database_;
    books books_;
    statement begin_;
    statement commit_;
    statement rollback_;
    statement begin_one_;
    statement keep_one_;
    statement undo_one_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<pending_work> queue_;
    bool stopping_ = false;
    std::thread thread_; // last: it uses all of the above
};

ledger::ledger(std::string file, std::chrono::milliseconds lock_wait)
    : impl_(std::make_unique<impl>(std::move(file), lock_wait))
{
}

ledger::~ledger() = default;

asio::awaitable<response> ledger::perform(work task)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto submit = [&](auto handler) {
        impl_->submit(
            {.work = std::move(task),
             .done = std::move(handler),
             .executor = asio::prefer(executor, asio::execution::outstanding_work.tracked)});
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&,
                                            void(std::exception_ptr, response)>(
        submit, asio::use_awaitable);
}

} // namespace order_processing::services
