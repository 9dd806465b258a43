#pragma once

#include "pawl/retry_policy.hpp"
#include "pawl/time.hpp"

#include <chrono>

namespace order_processing {

/// Waits and retries of the order workflow. The defaults are for a shop; a
/// demonstration or a test uses shorter waits.
struct order_options {
    /// Wait between errors of `validate_order`. Above zero. Default 5 s.
    pawl::duration validation_backoff = std::chrono::seconds{5};

    /// Errors of `validate_order` until the run pauses. At least 1. Default 3.
    int validation_errors = 3;

    /// Wait between tries to charge: after the bank declined one, and between errors of
    /// `process_payment`. Above zero. Default 10 s.
    pawl::duration payment_backoff = std::chrono::seconds{10};

    /// Errors of `process_payment` until the run pauses. A declined card is not an error. At
    /// least 1. Default 5.
    int payment_errors = 5;

    /// Tries to charge by one method until it counts as spent. At least 1. Default 3.
    int tries_per_method = 3;

    /// First wait while the provider says "processing"; it doubles from poll to poll. Above zero.
    /// Default 1 s.
    pawl::duration poll_interval = std::chrono::seconds{1};

    /// The longest wait between polls. At least poll_interval. Default 30 s.
    pawl::duration max_poll_interval = std::chrono::seconds{30};

    /// From PaymentProcessing to the void of a payment that was not captured. Above zero. Default
    /// 5 min.
    pawl::duration payment_timeout = std::chrono::minutes{5};

    /// Tries to reserve the available part of an order, when other orders take the stock first. At
    /// least 1. Default 3.
    int partial_tries = 3;

    /// Time limit of one request to a service. Above zero. Default 10 s.
    pawl::duration request_timeout = std::chrono::seconds{10};

    /// Wait before a step is repeated because its request was not sent: the service cannot be
    /// reached. This uses up no attempt. Above zero. Default 5 s.
    pawl::duration unreachable_backoff = std::chrono::seconds{5};

    /// Errors of every other step.
    pawl::retry_policy other_steps{};
};

/// @throws pawl::definition_error that names the field which is out of its range.
void check(const order_options& options);

} // namespace order_processing
