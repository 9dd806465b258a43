#pragma once

#include <utility>

namespace pawl::http::detail {

/// Calls a function when it is destroyed. The function must not throw.
template <typename F>
class on_exit {
public:
    explicit on_exit(F f) : f_(std::move(f)) {}
    ~on_exit() { f_(); }
    on_exit(const on_exit&) = delete;
    on_exit& operator=(const on_exit&) = delete;

private:
    F f_;
};

} // namespace pawl::http::detail
