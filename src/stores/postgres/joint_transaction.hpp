#pragma once

#include "pawl/store_transaction.hpp"
#include "stores/postgres/batch_writer.hpp"
#include "stores/postgres/transaction_sessions.hpp"

#include <functional>
#include <memory>

namespace pawl::postgres {

/// The work of the application and a transition of a run, in one transaction. The work comes first,
/// while no row of Pawl is locked.
class joint_transaction final : public store_transaction {
public:
    using work_function = std::function<boost::asio::awaitable<void>(postgres_session&)>;

    joint_transaction(std::shared_ptr<transaction_sessions> sessions,
                      std::shared_ptr<batch_writer> writer, duration lock_timeout,
                      work_function work);

    boost::asio::awaitable<void> run() override;
    boost::asio::awaitable<apply_result>
    commit(transition& next, const std::function<void(transition&)>& complete) override;

private:
    const std::shared_ptr<transaction_sessions> sessions_;
    const std::shared_ptr<batch_writer> writer_;
    const duration lock_timeout_;
    const work_function work_;
    transaction_sessions::lease session_; ///< its destruction rolls back
};

} // namespace pawl::postgres
