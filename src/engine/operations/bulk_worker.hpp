#pragma once

#include "engine/operations/bulk_state.hpp"
#include "engine/operations/run_lister.hpp"
#include "pawl/run.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>

namespace pawl::detail {
class engine_core;
struct workflow_impl;
} // namespace pawl::detail

namespace pawl::engine_detail {

/// Does the work of the bulk changes whose runs this engine drives.
///
/// The runs of a page are stored before the first of them gets its command. After a crash the page
/// is begun again: the store drops a command whose key the run has had, and answers with the
/// outcome of the first one.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class bulk_worker {
public:
    /// `core` outlives this object.
    explicit bulk_worker(detail::engine_core& core) : core_(core) {}

    /// The workflow "pawl.bulk". This object outlives its runs.
    std::shared_ptr<const detail::workflow_impl> make_workflow();

    /// Changes the runs of the stored page, and selects the next page. True when no page is left.
    boost::asio::awaitable<bool> work(run<bulk_state> bulk);

private:
    class permit;
    struct flight;
    struct job;

    boost::asio::awaitable<void> change_page(run<bulk_state> bulk);
    boost::asio::awaitable<void> select_page(run<bulk_state> bulk);
    boost::asio::awaitable<void> change(job& work, bulk_target target);
    boost::asio::awaitable<void> send(job& work, record receiver);
    boost::asio::awaitable<permit> take_permit(job& work);
    boost::asio::awaitable<void> finish_first(job& work);
    boost::asio::awaitable<bool> still_matches(const job& work, const record& run);
    boost::asio::awaitable<bool> has_command(const job& work, const record& run,
                                             std::uint64_t version);
    boost::asio::awaitable<bool> has_engine(job& work, std::string workflow);
    boost::asio::awaitable<void> count_refusal(job& work, const record& run, error_code code,
                                               std::string detail);

    detail::engine_core& core_;
    std::atomic<std::size_t> in_flight_{0};
};

/// What the keys and reasons of the commands of a bulk change begin with.
std::string bulk_mark(run_id bulk);

} // namespace pawl::engine_detail
