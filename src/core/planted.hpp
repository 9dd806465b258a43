// Defects that are put in on purpose, so that tests can show that the simulation finds them.
//
// In the library itself PAWL_PLANTED(name) is false, and costs nothing. A second variant of the
// sources that have some is compiled with PAWL_PLANTED_BUGS; there one of them can be chosen at run
// time. tests/simulation/README.md has the list.
#pragma once

#ifdef PAWL_PLANTED_BUGS

#include <string>
#include <string_view>

namespace pawl::core {

/// The defect that is in force; empty: none.
std::string& planted_bug() noexcept;

} // namespace pawl::core

#define PAWL_PLANTED(name) (::pawl::core::planted_bug() == #name)

#else

#define PAWL_PLANTED(name) false

#endif
