#include "stores/postgres/schema_memory.hpp"

#include "pawl/error.hpp"
#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

schema_memory::schema_memory(std::string schema, std::string where, schema_facts first)
    : schema_(std::move(schema)), where_(std::move(where)), shards_(first.shards),
      types_(first.types), workflows_(std::move(first.workflows))
{
    for (const auto& [name, place] : workflows_)
        check_home(name, place);
}

std::uint64_t schema_memory::version() const
{
    const std::lock_guard lock{mutex_};
    return version_;
}

type_numbers schema_memory::types() const
{
    const std::lock_guard lock{mutex_};
    return types_;
}

std::optional<workflow_place> schema_memory::workflow(std::string_view name) const
{
    const std::lock_guard lock{mutex_};
    const auto found = workflows_.find(name);
    return found == workflows_.end() ? std::nullopt : std::optional{found->second};
}

/// With the lock held.
void schema_memory::check_home(std::string_view name, const workflow_place& place)
{
    if (!place.first_shard)
        return;
    const auto known = homes_.try_emplace(std::string{name}, *place.first_shard).first->second;
    if (known != *place.first_shard)
        throw_damaged(where_, fmt::format("the shards of workflow \"{}\" in the schema {} begin "
                                          "at {} now, not at {}: open the store again",
                                          name, schema_, *place.first_shard, known));
}

void schema_memory::add(std::string_view name, const workflow_place& place)
{
    const std::lock_guard lock{mutex_};
    check_home(name, place);
    workflows_.insert_or_assign(std::string{name}, place);
}

void schema_memory::replace(schema_facts facts)
{
    if (facts.shards != shards_)
        throw_damaged(where_, fmt::format("each workflow in the schema {} has {} shards now, not "
                                          "{}: open the store again",
                                          schema_, facts.shards, shards_));
    const std::lock_guard lock{mutex_};
    for (const auto& [name, place] : facts.workflows)
        if (homes_.contains(name))
            check_home(name, place);
    bool is_same = facts.types == types_;
    for (const auto& [name, place] : workflows_) {
        const auto found = facts.workflows.find(name);
        is_same = is_same && found != facts.workflows.end() && found->second == place;
    }
    if (is_same)
        return;
    types_ = facts.types;
    workflows_ = std::move(facts.workflows);
    ++version_;
}

asio::awaitable<void> schema_memory::read_again(connection& link)
{
    auto facts = co_await read_facts(link, schema_, where_);
    replace(std::move(facts));
}

} // namespace pawl::postgres
