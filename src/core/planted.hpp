// Deliberate defects, which show that the simulation finds bugs.
//
// In the library PAWL_PLANTED(name) is false and costs nothing. For a test the sources are compiled
// a second time with PAWL_PLANTED_BUGS; in that variant one defect can be chosen at run time.
// tests/simulation/README.md lists the defects.
#pragma once

#ifdef PAWL_PLANTED_BUGS

#include <string>
#include <string_view>

namespace pawl::core {

/// The name of the active defect; empty: none.
std::string& planted_bug() noexcept;

} // namespace pawl::core

#define PAWL_PLANTED(name) (::pawl::core::planted_bug() == #name)

#else

#define PAWL_PLANTED(name) false

#endif
