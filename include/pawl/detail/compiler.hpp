#pragma once

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#error                                                                                             \
    "Pawl needs clang 16 or GCC 13: GCC 12 destroys temporaries of a co_await expression twice and corrupts memory. Configure with -DCMAKE_CXX_COMPILER=clang++-19."
#endif
