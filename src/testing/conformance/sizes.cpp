// Checks of what is empty and what is as large as an engine lets it be.
#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

/// engine_options::max_object_size by default; a store has no limit of its own below it.
constexpr std::size_t large = 1024 * 1024;

/// The longest foreign id, workflow's key or message's key that an engine lets through.
constexpr std::size_t longest_name = 1024;

/// Every byte value, over and over, so that nothing can be left out or taken for an end.
std::string bytes_of(std::size_t size)
{
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>(i * 7 + i / 256);
    return text;
}

/// Four bytes a character.
std::string long_name()
{
    std::string name;
    while (name.size() < longest_name)
        name += "\xf0\x9f\x93\xa6";
    return name;
}

awaitable<void> large_objects_come_back(fixture& test)
{
    auto run = co_await test.started("large");
    for (const auto size : {large, std::size_t{0}, large}) {
        run = next_of(run);
        run.object = bytes_of(size);
        run.effects = {{"effect", bytes_of(size / 2), true}};
        co_await test.accept_one(step_of(run));
        const auto stored = co_await test.stored(run.id);
        expect_record(stored, run, fmt::format("with an object of {} bytes", size));
    }
}

awaitable<void> large_messages_come_back(fixture& test)
{
    const auto run = co_await test.started("large mail");
    for (const auto size : {large, std::size_t{0}}) {
        auto sent = send(run.id, "call");
        sent.content.payload = bytes_of(size);
        co_await test.accept_one(sent);
    }
    const auto inbox = co_await test.store().inbox(run.id, 0, 10);
    expect_number(inbox.size(), 2, "messages in the inbox");
    expect(inbox[0].payload == bytes_of(large), "a payload of 1 MiB comes back in another form");
    expect(inbox[1].payload.empty(), "an empty payload comes back in another form");
}

awaitable<void> long_names_come_back(fixture& test)
{
    auto run = test.make_run(long_name());
    run.start_key = long_name();
    co_await test.accept_one(start_of(run));
    const auto latest = co_await test.store().latest(run.workflow, run.foreign_id);
    expect(latest && latest->id == run.id, "a foreign id of 1,024 bytes is not found");
    auto again = run;
    again.id = test.make_run("another").id;
    const auto repeated = co_await test.apply_one(start_of(again));
    expect_status(repeated, apply_status::duplicate, "a start key of 1,024 bytes, again");

    auto sent = send(run.id, long_name());
    sent.content.key = long_name();
    co_await test.accept_one(sent);
    const auto twice = co_await test.apply_one(sent);
    expect_status(twice, apply_status::duplicate, "a message key of 1,024 bytes, again");
    const auto inbox = co_await test.store().inbox(run.id, 0, 10);
    expect(inbox.size() == 1 && inbox[0].name == long_name(), "a long name comes back cut");
}

} // namespace

std::span<const check_entry> size_checks()
{
    static constexpr auto checks = std::to_array<check_entry>({
        {"large_objects_come_back", large_objects_come_back},
        {"large_messages_come_back", large_messages_come_back},
        {"long_names_come_back", long_names_come_back, 16},
    });
    return checks;
}

} // namespace pawl::testing
