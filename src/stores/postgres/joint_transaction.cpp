#include "stores/postgres/joint_transaction.hpp"

#include "stores/postgres/error.hpp"

#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

joint_transaction::joint_transaction(std::shared_ptr<transaction_sessions> sessions,
                                     std::shared_ptr<batch_writer> writer, duration lock_timeout,
                                     work_function work)
    : sessions_(std::move(sessions)), writer_(std::move(writer)), lock_timeout_(lock_timeout),
      work_(std::move(work))
{
}

asio::awaitable<void> joint_transaction::run()
{
    session_ = co_await sessions_->begin();
    postgres_session session{*session_};
    co_await work_(session);
    co_await session_->check();
}

asio::awaitable<apply_result>
joint_transaction::commit(transition& next, const std::function<void(transition&)>& complete)
{
    complete(next);
    change only{std::move(next)};
    apply_result decided;
    std::exception_ptr failure;
    try {
        decided = co_await writer_->apply_in(*session_, only, lock_timeout_);
    } catch (...) {
        failure = std::current_exception();
    }
    next = std::move(std::get<transition>(only));
    session_.reset();
    if (failure)
        std::rethrow_exception(failure);
    co_return decided;
}

} // namespace pawl::postgres
