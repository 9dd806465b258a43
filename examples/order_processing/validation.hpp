#pragma once

#include "order.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing {

/// The lines that an order may have.
inline constexpr std::size_t max_items = 10'000;

/// What is wrong with an order, in sentences for the customer, all problems at once; empty when it
/// can be processed. Pure.
std::vector<std::string> find_problems(const Order& order);

/// True for the methods that the payment provider knows; it may still refuse one.
bool is_payment_method(std::string_view method) noexcept;

} // namespace order_processing
