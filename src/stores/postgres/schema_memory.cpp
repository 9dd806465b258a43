#include "stores/postgres/schema_memory.hpp"

#include "pawl/error.hpp"
#include "stores/postgres/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace pawl::postgres {

namespace asio = boost::asio;

schema_memory::schema_memory(std::string schema, std::string server, schema_facts first)
    : schema_(std::move(schema)), server_(std::move(server)), shards_(first.shards),
      types_(first.types), workflows_(std::move(first.workflows))
{
    for (const auto& [name, location] : workflows_)
        check_first_shard(name, location);
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

std::optional<workflow_location> schema_memory::workflow(std::string_view name) const
{
    const std::lock_guard lock{mutex_};
    const auto found = workflows_.find(name);
    return found == workflows_.end() ? std::nullopt : std::optional{found->second};
}

/// Precondition: mutex_ is locked, or *this is under construction.
void schema_memory::check_first_shard(std::string_view name, const workflow_location& location)
{
    if (!location.first_shard)
        return;
    const auto known =
        first_shards_.try_emplace(std::string{name}, *location.first_shard).first->second;
    if (known != *location.first_shard)
        throw_corrupt(server_, fmt::format("the shards of workflow \"{}\" in the schema {} begin "
                                           "at {} now, not at {}: open the store again",
                                           name, schema_, *location.first_shard, known));
}

void schema_memory::add(std::string_view name, const workflow_location& location)
{
    const std::lock_guard lock{mutex_};
    check_first_shard(name, location);
    workflows_.insert_or_assign(std::string{name}, location);
}

void schema_memory::replace(schema_facts facts)
{
    if (facts.shards != shards_)
        throw_corrupt(server_, fmt::format("each workflow in the schema {} has {} shards now, not "
                                           "{}: open the store again",
                                           schema_, facts.shards, shards_));
    const std::lock_guard lock{mutex_};
    for (const auto& [name, location] : facts.workflows)
        if (first_shards_.contains(name))
            check_first_shard(name, location);
    bool is_same = facts.types == types_;
    for (const auto& [name, location] : workflows_) {
        const auto found = facts.workflows.find(name);
        is_same = is_same && found != facts.workflows.end() && found->second == location;
    }
    if (is_same)
        return;
    types_ = facts.types;
    workflows_ = std::move(facts.workflows);
    ++version_;
}

asio::awaitable<void> schema_memory::read_again(connection& link)
{
    auto facts = co_await read_facts(link, schema_, server_);
    replace(std::move(facts));
}

} // namespace pawl::postgres
