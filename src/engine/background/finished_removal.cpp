#include "engine/background/finished_removal.hpp"

#include "pawl/error.hpp"

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t archived_page = 1000;

void check_removed(const apply_result& result, const std::string& subject)
{
    if (result.status == apply_status::fenced)
        throw error(errc::fenced, subject + " is in a shard that this engine has lost");
    if (result.status == apply_status::conflict)
        throw error(errc::conflict, subject + " was changed meanwhile");
    if (result.status != apply_status::accepted)
        throw error(errc::not_found, subject + " was removed already");
}

} // namespace

asio::awaitable<void> read_history(record_store& store, archived_run& run)
{
    std::uint64_t after = 0;
    for (bool more = true; more;) {
        auto page = co_await store.history(run.last.id, after, archived_page);
        more = page.size() == archived_page;
        for (auto& entry : page)
            run.history.push_back(std::move(entry));
        after = run.history.empty() ? 0 : run.history.back().version;
    }
}

asio::awaitable<void> remove_finished(engine_parts& shared, removal_gate& gate, archiver* archive,
                                      run_id run)
{
    const auto subject = "run " + to_string(run);
    auto found = co_await shared.store.find(run);
    if (!found)
        throw error(errc::not_found, "there is no " + subject);
    if (!is_finished(found->state))
        throw error(errc::not_finished, subject + " is " + std::string{to_string(found->state)} +
                                            "; only a finished run can be removed");
    const auto epoch = shared.epochs[shared.shard_of(*found)].load();
    if (epoch == 0)
        throw error(errc::fenced, subject + " is in a shard of another engine: ask that engine");
    gate.forget_positions();
    const auto holder = co_await gate.holder_of(*found);
    if (!holder.empty())
        throw error(errc::not_finished, subject + " is still needed: " + holder);
    archived_run removed{std::move(*found), {}};
    if (archive) {
        co_await read_history(shared.store, removed);
        co_await archive->archive(std::span{&removed, 1});
    }
    const std::vector<change> batch{removal{run, removed.last.version, epoch}};
    const auto results = co_await shared.store.apply(batch);
    check_removed(results.front(), subject);
}

} // namespace pawl::engine_detail
