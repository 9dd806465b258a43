// A store of your own: it scrambles each object and passes it on to another store. The conformance
// suite checks it against the contract of record_store.
#include <pawl/builder.hpp>
#include <pawl/forwarding_store.hpp>
#include <pawl/memory.hpp>
#include <pawl/testing/harness.hpp>
#include <pawl/testing/store_conformance.hpp>

#include <algorithm>
#include <iostream>

/// In place of encryption.
std::string scrambled(std::string text)
{
    std::ranges::transform(text, text.begin(), [](char c) { return static_cast<char>(c ^ 0x5a); });
    return text;
}

/// Overrides the functions that pass objects; forwarding_store passes all other calls to the inner
/// store.
class scrambling_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    boost::asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        std::vector<pawl::change> changes{batch.begin(), batch.end()};
        for (auto& change : changes)
            if (auto* const transition = std::get_if<pawl::transition>(&change))
                transition->next.object = scrambled(std::move(transition->next.object));
        auto results = co_await inner().apply(changes);
        co_return results;
    }

    boost::asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        auto found = co_await inner().find(id);
        if (found)
            found->object = scrambled(std::move(found->object));
        co_return found;
    }

    boost::asio::awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                               std::string_view id) override
    {
        auto found = co_await inner().latest(workflow, id);
        if (found)
            found->object = scrambled(std::move(found->object));
        co_return found;
    }

    boost::asio::awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        auto page = co_await inner().list(query);
        unscramble(page.runs);
        co_return page;
    }

    boost::asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                               pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit);
        unscramble(page.runs);
        co_return page;
    }

    boost::asio::awaitable<std::vector<pawl::record>> finished_before(std::uint32_t shard,
                                                                      std::string_view workflow,
                                                                      pawl::time_point before,
                                                                      std::size_t limit) override
    {
        auto found = co_await inner().finished_before(shard, workflow, before, limit);
        unscramble(found);
        co_return found;
    }

    boost::asio::awaitable<std::vector<pawl::record>>
    finished_behind(std::uint32_t shard, std::string_view workflow, pawl::finished_position after,
                    pawl::time_point before, std::size_t limit) override
    {
        auto found = co_await inner().finished_behind(shard, workflow, after, before, limit);
        unscramble(found);
        co_return found;
    }

private:
    static void unscramble(std::vector<pawl::record>& runs)
    {
        for (auto& run : runs)
            run.object = scrambled(std::move(run.object));
    }
};

struct secret {
    std::string text;
};
BOOST_DESCRIBE_STRUCT(secret, (), (text))

enum class state { received = 1, archived };
BOOST_DESCRIBE_ENUM(state, received, archived)

pawl::step<state::archived> archive(pawl::run<secret>&)
{
    co_return pawl::to<state::archived>;
}

int main()
{
    int passed = 0;
    for (const auto& check : pawl::testing::store_conformance_checks()) {
        check.run([](std::uint32_t shards) {
            return std::make_shared<scrambling_store>(pawl::open_memory({.shards = shards}));
        });
        ++passed;
    }
    std::cout << (passed > 70 ? "the store conforms\n" : "checks are missing\n");

    pawl::builder<secret, state> b{"secrets"};
    b.step<state::received>(archive);
    b.end<state::archived>();
    const auto inner = pawl::open_memory();
    pawl::testing::harness_options options;
    options.engine.store = std::make_shared<scrambling_store>(inner);
    pawl::testing::harness test{std::move(b).build(), options};
    const auto run = test.trigger("secret-1", {"under the oak"});
    const auto stored = test.wait_for(inner->find(run))->object;
    std::cout << "the engine reads: " << test.find(run).object.text << "\n"
              << "the inner store "
              << (stored.find("oak") == std::string::npos ? "does not know it\n" : "knows it\n");
}
