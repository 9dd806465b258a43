#pragma once

#include "pawl/detail/run_context.hpp"
#include "pawl/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace api_test {

template <class T>
boost::asio::awaitable<void> store_result(boost::asio::awaitable<T> operation,
                                          std::optional<T>& result)
{
    result.emplace(co_await std::move(operation));
}

inline void await(boost::asio::awaitable<void> operation)
{
    boost::asio::io_context io;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, std::move(operation),
                          [&failure](const std::exception_ptr& thrown) { failure = thrown; });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
}

/// Runs a coroutine to its end and returns or throws what it did.
template <class T>
T await(boost::asio::awaitable<T> operation)
{
    std::optional<T> result;
    await(store_result(std::move(operation), result));
    return std::move(*result);
}

/// An engine's side of one run, in memory.
class fake_context final : public pawl::detail::run_context {
public:
    pawl::record state;
    pawl::time_point time{};
    bool fail_commits = false;
    mutable std::vector<std::string> lines;

    const pawl::record& current() const noexcept override { return state; }
    pawl::time_point now() const override { return time; }

    boost::asio::awaitable<void> checkpoint(std::string object) override
    {
        if (fail_commits)
            throw pawl::error{pawl::errc::store_unavailable, "no commit"};
        state.object = std::move(object);
        ++state.version;
        co_return;
    }

    boost::asio::awaitable<void> record_effect(pawl::effect added, std::string object) override
    {
        co_await checkpoint(std::move(object));
        state.effects.push_back(std::move(added));
    }

    void log(pawl::log_level, std::string_view line) const override { lines.emplace_back(line); }
};

inline boost::test_tools::assertion_result contains(const std::string& text, std::string_view part)
{
    boost::test_tools::assertion_result found{text.find(part) != text.npos};
    found.message() << '"' << part << "\" in: " << text;
    return found;
}

} // namespace api_test
