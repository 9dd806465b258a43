#pragma once

#include "pawl/error.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <string>
#include <utility>
#include <vector>

/// Runs one call of a store to its end, on a context of its own.
template <typename Result>
Result finish(boost::asio::awaitable<Result> call)
{
    boost::asio::io_context context;
    auto result = boost::asio::co_spawn(context, std::move(call), boost::asio::use_future);
    context.run();
    return result.get();
}

inline pawl::record make_run(std::uint8_t number, const std::string& foreign_id)
{
    pawl::record first;
    first.id.bytes.fill(number);
    first.workflow = "orders";
    first.foreign_id = foreign_id;
    first.version = 1;
    first.status = 10;
    first.created_at = pawl::time_point{std::chrono::seconds{number}};
    first.updated_at = first.created_at;
    first.wake_at = first.created_at;
    first.object = "{}";
    return first;
}

/// The change that stores this record as the successor of the version before.
inline pawl::transition store_as(const pawl::record& next)
{
    pawl::transition change;
    change.next = next;
    change.expected_version = next.version - 1;
    change.kind = next.version == 1 ? pawl::event_kind::started : pawl::event_kind::moved;
    return change;
}

inline pawl::apply_result apply_one(pawl::record_store& store, pawl::change only)
{
    const std::vector<pawl::change> batch{std::move(only)};
    return finish(store.apply(batch)).front();
}

/// A predicate for BOOST_CHECK_EXCEPTION: the code, and words that the text must hold.
inline auto fails_with(pawl::errc code, std::vector<std::string> words)
{
    return [code, words = std::move(words)](const pawl::error& thrown) {
        const std::string text = thrown.what();
        bool says_all = true;
        for (const auto& word : words)
            says_all = says_all && text.find(word) != std::string::npos;
        if (thrown.code() != code || !says_all)
            BOOST_TEST_MESSAGE("it says instead: " << text);
        return thrown.code() == code && says_all;
    };
}
