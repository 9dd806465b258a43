// A workflow whose runs have spans of every kind, and a sink that keeps them.
#pragma once

#include "pawl/builder.hpp"
#include "pawl/event_streamer.hpp"
#include "pawl/memory.hpp"
#include "pawl/span_observer.hpp"
#include "pawl/testing/harness.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace otlp_test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

enum class stage { fresh = 1, waiting, done };
BOOST_DESCRIBE_ENUM(stage, fresh, waiting, done)

struct job {
    int value = 0;
};
BOOST_DESCRIBE_STRUCT(job, (), (value))

using job_run = pawl::run<job>;
using job_harness = pawl::testing::harness<job, stage>;

inline constexpr pawl::workflow_handle<job, stage> parts{"parts"};
inline constexpr pawl::callback<pawl::child_end<job, stage>> part_ended{"part-ended"};
inline constexpr const char* hostile_text = "no \"bulb\"\n\x01 \xff\xfe \\ \xf0\x9f\x92\xa1";

inline int charge()
{
    return 7;
}

/// Fails at its first attempt, after it has stored an effect and a checkpoint.
inline pawl::step<stage::waiting> start_work(job_run& run)
{
    run.object().value = co_await run.once("charge", charge);
    co_await run.checkpoint();
    if (run.attempt() < 2)
        throw std::runtime_error(hostile_text);
    co_await run.start(parts, run.foreign_id() + "/part", job{}, {.on_end = part_ended});
    co_return pawl::to<stage::waiting>;
}

inline pawl::step<stage::waiting, stage::done> note_part(job_run& run, pawl::child_end<job, stage>)
{
    run.object().value += 1;
    co_return pawl::repeat_after(0s);
}

inline pawl::step<stage::done> finish_work(job_run&)
{
    co_return pawl::to<stage::done>;
}

inline asio::awaitable<void> report_end(const pawl::snapshot<job, stage>&)
{
    co_return;
}

/// From fresh to waiting, where it waits for the callback "go" or for a day.
inline pawl::workflow<job, stage> jobs()
{
    pawl::builder<job, stage> b{"jobs"};
    b.uses(parts);
    b.step<stage::fresh>(start_work).retry({.initial = 1s, .jitter = 0});
    b.callback<stage::waiting>(part_ended, note_part);
    b.callback<stage::waiting>("go", finish_work);
    b.timeout<stage::waiting>("late", 24h, finish_work);
    b.end<stage::done>();
    b.on_complete(report_end);
    return std::move(b).build();
}

inline pawl::workflow<job, stage> part_work()
{
    pawl::builder<job, stage> b{"parts"};
    b.step<stage::fresh>(finish_work);
    b.end<stage::done>();
    return std::move(b).build();
}

class span_list final : public pawl::span_sink {
public:
    std::vector<pawl::span> spans;
    bool is_full = false;

    bool has_room() noexcept override { return !is_full; }
    void add(pawl::span finished) noexcept override { spans.push_back(std::move(finished)); }

    std::vector<const pawl::span*> named(std::string_view name) const
    {
        std::vector<const pawl::span*> found;
        for (const auto& made : spans)
            if (made.name == name)
                found.push_back(&made);
        return found;
    }

    const pawl::span& only(std::string_view name) const
    {
        const auto found = named(name);
        BOOST_TEST_REQUIRE(found.size() == 1u, name);
        return *found.front();
    }

    /// The names of spans whose parent is neither among the spans nor is one of `known`.
    std::vector<std::string> orphans(const std::set<std::array<std::uint8_t, 8>>& known = {}) const
    {
        std::set<std::pair<std::array<std::uint8_t, 16>, std::array<std::uint8_t, 8>>> ids;
        for (const auto& made : spans)
            ids.emplace(made.context.trace_id, made.context.span_id);
        std::vector<std::string> missing;
        for (const auto& made : spans)
            if (made.parent_id != std::array<std::uint8_t, 8>{} &&
                !known.contains(made.parent_id) &&
                !ids.contains({made.context.trace_id, made.parent_id}))
                missing.push_back(made.name);
        return missing;
    }
};

inline std::string text_of(const pawl::span& made, std::string_view attribute)
{
    const auto found = std::ranges::find(made.attributes, attribute, &pawl::span_attribute::name);
    if (found == made.attributes.end())
        return "absent";
    if (const auto* number = std::get_if<std::int64_t>(&found->value))
        return std::to_string(*number);
    return std::get<std::string>(found->value);
}

/// An engine with both workflows and a connector that starts jobs from the topic "orders".
struct traced {
    std::shared_ptr<span_list> sink = std::make_shared<span_list>();
    std::shared_ptr<pawl::record_store> store = pawl::open_memory();
    std::shared_ptr<pawl::event_streamer> broker = pawl::store_streamer(store);
    std::unique_ptr<job_harness> test;

    explicit traced(pawl::span_observer_options options = {});

    void publish(pawl::stream_event event);
};

} // namespace otlp_test
