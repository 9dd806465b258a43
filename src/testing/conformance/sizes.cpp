// Checks of empty values and of the largest values that an engine allows.
#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

/// The default of engine_options::max_object_size. A store must not have a lower limit.
constexpr std::size_t large = 1024 * 1024;

/// The longest foreign id, start key or message key that an engine accepts.
constexpr std::size_t longest_name = 1024;

/// A string with every byte value, NUL included.
std::string bytes_of(std::size_t size)
{
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>(i * 7 + i / 256);
    return text;
}

/// Characters of four bytes each.
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
    const auto run = co_await test.started("large messages");
    for (const auto size : {large, std::size_t{0}}) {
        auto sent = send(run.id, "call");
        sent.content.payload = bytes_of(size);
        co_await test.accept_one(sent);
    }
    const auto inbox = co_await test.store().inbox(run.id, 0, 10);
    expect_equal(inbox.size(), 2, "messages in the inbox");
    expect_equal(inbox[0].payload, bytes_of(large), "payload of 1 MiB");
    expect_equal(inbox[1].payload, "", "empty payload");
}

awaitable<void> long_names_come_back(fixture& test)
{
    auto run = test.make_run(long_name());
    run.start_key = long_name();
    co_await test.accept_one(start_of(run));
    const auto latest = co_await test.store().latest(run.workflow, run.foreign_id);
    expect(latest.has_value(), "latest() found no run with a foreign id of 1,024 bytes");
    expect_equal(latest->id, run.id, "latest() of a foreign id of 1,024 bytes");
    auto again = run;
    again.id = test.make_run("another").id;
    const auto repeated = co_await test.apply_one(start_of(again));
    expect_status(repeated, apply_status::duplicate, "a repeated start key of 1,024 bytes");

    auto sent = send(run.id, long_name());
    sent.content.key = long_name();
    co_await test.accept_one(sent);
    const auto twice = co_await test.apply_one(sent);
    expect_status(twice, apply_status::duplicate, "a repeated message key of 1,024 bytes");
    const auto inbox = co_await test.store().inbox(run.id, 0, 10);
    expect_equal(inbox.size(), 1, "messages in the inbox");
    expect_equal(inbox[0].name, long_name(), "message name of 1,024 bytes");
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
