#include "stores/postgres/lost_commit_detector.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

asio::awaitable<void> lost_commit_detector::fence_lost_shards(connection& link)
{
    const auto seen = positions_.all();
    if (seen.empty())
        co_return;
    const auto statement = statements_->fence_lost(seen);
    auto rows = co_await link.execute(statement);
    report_lost(std::move(rows));
}

asio::awaitable<void> lost_commit_detector::fence_lost_shards(pool& sessions)
{
    const auto seen = positions_.all();
    if (seen.empty())
        co_return;
    auto rows = co_await sessions.run(statements_->fence_lost(seen));
    report_lost(std::move(rows));
}

void lost_commit_detector::report_lost(result rows)
{
    std::vector<std::int64_t> shards;
    while (rows.next())
        shards.push_back(rows.integer());
    for (const auto shard : shards)
        positions_.discard(static_cast<std::uint32_t>(shard));
    if (!shards.empty())
        warnings_->report(warning::commits_lost,
                          fmt::format("in shards {}", fmt::join(shards, ", ")));
}

} // namespace pawl::postgres
