# Runs every scenario in a tiny size, and the small operations; checks that each scenario gives a
# figure and a line of the table, and that the JSON can be read. It checks no time.
#   cmake -DBENCH=program -DMICRO=program or empty -DFOLDER=folder -P smoke.cmake
cmake_minimum_required(VERSION 3.25)

set(json ${FOLDER}/smoke.json)
set(table ${FOLDER}/smoke.md)
execute_process(COMMAND ${BENCH} --smoke --json ${json} --table ${table}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BENCH} --list OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY
                OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REPLACE "\n" ";" names "${names}")

file(READ ${json} document)
file(READ ${table} lines)
string(JSON count LENGTH "${document}" figures)
set(seen "")
foreach(i RANGE 1 ${count})
    math(EXPR at "${i} - 1")
    string(JSON scenario GET "${document}" figures ${at} scenario)
    string(JSON median GET "${document}" figures ${at} median)
    list(APPEND seen ${scenario})
endforeach()
foreach(name IN LISTS names)
    if(NOT name IN_LIST seen)
        message(FATAL_ERROR "The scenario ${name} gives no figure")
    endif()
    if(NOT lines MATCHES "\n\\| `${name}` \\| ")
        message(FATAL_ERROR "The scenario ${name} has no line in the table")
    endif()
endforeach()

if(MICRO)
    execute_process(COMMAND ${MICRO} --list OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    string(REPLACE "\n" ";" names "${names}")
    foreach(name IN LISTS names)
        execute_process(COMMAND ${MICRO} --repeat ${name} 3 COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
endif()
