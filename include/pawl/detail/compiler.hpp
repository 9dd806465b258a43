#pragma once

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#error                                                                                             \
    "Pawl needs clang 16 or GCC 13: GCC 12 destroys temporaries of a co_await expression twice and corrupts memory. Configure with -DCMAKE_CXX_COMPILER=clang++-19."
#endif

/// Rejects a call with constant arguments that are out of range. An attribute of Clang; with other
/// compilers build() reports them.
#if defined(__clang__)
#define PAWL_DETAIL_REJECT(condition, sentence)                                                    \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wgcc-compat\"")          \
        __attribute__((diagnose_if(condition, sentence, "error"))) _Pragma("clang diagnostic pop")
#else
#define PAWL_DETAIL_REJECT(condition, sentence)
#endif
