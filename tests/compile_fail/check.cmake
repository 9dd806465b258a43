# Compiles FILE twice: as it is, which must fail with the phrase of its first line, and with FIXED
# defined, which must succeed.
string(REPLACE ":" ";" _directories "${INCLUDES}")
set(_command ${COMPILER} ${STANDARD} -fsyntax-only)
foreach(_directory IN LISTS _directories)
    list(APPEND _command -I${_directory})
endforeach()

file(STRINGS ${FILE} _first LIMIT_COUNT 1)
if(NOT _first MATCHES "^// expect: (.+)$")
    message(FATAL_ERROR "${FILE}: the first line must be \"// expect: a phrase of the error\"")
endif()
set(_phrase "${CMAKE_MATCH_1}")

execute_process(COMMAND ${_command} -DFIXED ${FILE} RESULT_VARIABLE _result ERROR_VARIABLE _errors)
if(NOT _result EQUAL 0)
    message(FATAL_ERROR "with FIXED it must compile:\n${_errors}")
endif()

execute_process(COMMAND ${_command} ${FILE} RESULT_VARIABLE _result ERROR_VARIABLE _errors)
if(_result EQUAL 0)
    message(FATAL_ERROR "it must not compile, and did")
endif()
string(FIND "${_errors}" "${_phrase}" _at)
if(_at EQUAL -1)
    message(FATAL_ERROR "expected the error to contain \"${_phrase}\", but it is:\n${_errors}")
endif()
