#include "stores/postgres/lost_commits.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

asio::awaitable<void> lost_commits::look_for(connection& link)
{
    const auto seen = positions_.all();
    if (seen.empty())
        co_return;
    const auto question = statements_->fence_lost(seen);
    auto rows = co_await link.execute(question);
    note(std::move(rows));
}

asio::awaitable<void> lost_commits::look_for(pool& sessions)
{
    const auto seen = positions_.all();
    if (seen.empty())
        co_return;
    auto rows = co_await sessions.run(statements_->fence_lost(seen));
    note(std::move(rows));
}

void lost_commits::note(result rows)
{
    std::vector<std::int64_t> shards;
    while (rows.next())
        shards.push_back(rows.integer());
    for (const auto shard : shards)
        positions_.forget(static_cast<std::uint32_t>(shard));
    if (!shards.empty())
        troubles_->tell(trouble::commits_lost,
                        fmt::format("in shards {}", fmt::join(shards, ", ")));
}

} // namespace pawl::postgres
