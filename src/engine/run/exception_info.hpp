#pragma once

#include "pawl/detail/exception_text.hpp"
#include "pawl/error.hpp"

#include <exception>
#include <string>

namespace pawl::engine_detail {

/// True for an error with errc::program_too_old: data of a newer program.
bool is_too_old(const std::exception_ptr& failure) noexcept;

/// What is to be stored is larger than engine_options::max_object_size, or than its store takes. To
/// try again is of no use.
class size_exceeded : public error {
public:
    using error::error;
};

bool is_size_exceeded(const std::exception_ptr& failure);

/// The code of a system_error; errc::store_unavailable for anything else that a store may throw.
error_code error_code_of(const std::exception_ptr& failure);

/// Whether the store is at hand and what it holds of one run, or its answer, is at fault: then the
/// rest of the store can be read and written.
bool is_data_error(const error_code& failure) noexcept;

/// Whether it is, or was thrown because of, errc::not_running or a cancellation.
bool is_caused_by_stop(const std::exception_ptr& failure);

} // namespace pawl::engine_detail
