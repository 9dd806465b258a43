#pragma once

#include "engine/operations/store_inventory.hpp"
#include "pawl/operations_views.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pawl::detail {
class engine_core;
}

namespace pawl::engine_detail {

/// Reads the connectors and the dead letters. Functions are coroutines; the object outlives them.
class connector_reader {
public:
    /// `core` outlives this object.
    explicit connector_reader(detail::engine_core& core) : core_(core) {}

    boost::asio::awaitable<std::vector<connector_view>> connectors();
    boost::asio::awaitable<std::vector<dead_letter_topic_view>> letter_topics();
    boost::asio::awaitable<topic_page> letters(std::string topic, std::uint64_t after,
                                               std::size_t limit);

private:
    store_inventory inventory() const;
    record_store& store() const;
    boost::asio::awaitable<std::optional<std::uint64_t>> lag_of(connector_view connector);
    boost::asio::awaitable<dead_letter_topic_view> letter_topic(std::string topic);

    detail::engine_core& core_;
};

} // namespace pawl::engine_detail
