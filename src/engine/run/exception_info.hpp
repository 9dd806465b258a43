#pragma once

#include "pawl/detail/exception_text.hpp"
#include "pawl/error.hpp"

#include <exception>
#include <string>

namespace pawl::engine_detail {

/// Whether the error is errc::program_too_old: the data was written by a newer program.
bool is_too_old(const std::exception_ptr& failure) noexcept;

/// Data to be stored exceeds engine_options::max_object_size or a limit of the store. A retry
/// cannot succeed.
class size_exceeded : public error {
public:
    using error::error;
};

bool is_size_exceeded(const std::exception_ptr& failure);

/// The code of a system_error; errc::store_unavailable for other exceptions of a store.
error_code error_code_of(const std::exception_ptr& failure);

/// Whether the data of one run, or an answer of the store, is damaged. The rest of the store can
/// then be read and written.
bool is_data_error(const error_code& failure) noexcept;

/// Whether the failure is errc::not_running or a cancellation, or has one of them nested in it.
bool is_caused_by_stop(const std::exception_ptr& failure);

} // namespace pawl::engine_detail
