#pragma once

#include "engine/operations/bulk_worker.hpp"
#include "engine/operations/run_reader.hpp"
#include "pawl/bulk.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace pawl::engine_detail {

class audited_changes;

/// Starts and reads bulk changes. Functions are coroutines; the object outlives them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class bulk_service {
public:
    /// `core`, `runs` and `changes` outlive this object.
    bulk_service(detail::engine_core& core, run_reader& runs, audited_changes& changes);

    /// The workflow "pawl.bulk".
    std::shared_ptr<const detail::workflow_impl> workflow() { return worker_.make_workflow(); }

    boost::asio::awaitable<bulk_preview> preview(bulk_request wanted);
    boost::asio::awaitable<bulk_view> start(bulk_request wanted, change_request request);
    boost::asio::awaitable<std::optional<bulk_view>> read(run_id bulk);
    boost::asio::awaitable<bulk_page> list(std::string after, std::size_t limit);

private:
    struct plan;

    boost::asio::awaitable<plan> make_plan(bulk_request wanted);
    boost::asio::awaitable<std::string> home_of(std::string workflow);
    boost::asio::awaitable<run_id> start_run(bulk_request wanted, change_request request,
                                             audit_entry& entry);
    boost::asio::awaitable<bulk_view> view_of(record run);

    detail::engine_core& core_;
    run_reader& runs_;
    audited_changes& changes_;
    bulk_worker worker_;
};

} // namespace pawl::engine_detail
