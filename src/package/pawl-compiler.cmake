# Sets pawl_unsuited_compiler to the reason why Pawl cannot be compiled with this compiler; empty if it can.
set(pawl_unsuited_compiler "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    set(pawl_unsuited_compiler "it corrupts memory in coroutines")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
    set(pawl_unsuited_compiler "it lacks parts of C++20")
endif()
if(pawl_unsuited_compiler)
    string(PREPEND pawl_unsuited_compiler
           "Pawl cannot be compiled with ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}: ")
    string(APPEND pawl_unsuited_compiler
           ". Use GCC 13, Clang 16 or newer, for example with -DCMAKE_CXX_COMPILER=clang++-19.")
endif()
