# Makes the target pawl_test_postgres_server, which starts servers, where PostgreSQL's programs are
# installed. Debian keeps them out of the PATH.
if(TARGET pawl_test_postgres_server)
    return()
endif()
file(GLOB _server_folders LIST_DIRECTORIES true /usr/lib/postgresql/*/bin)
list(SORT _server_folders COMPARE NATURAL ORDER DESCENDING)
find_program(PAWL_POSTGRES_SERVER postgres HINTS ${_server_folders})
mark_as_advanced(PAWL_POSTGRES_SERVER)
if(NOT PAWL_POSTGRES_SERVER)
    return()
endif()
cmake_path(GET PAWL_POSTGRES_SERVER PARENT_PATH _server_folder)

add_library(pawl_test_postgres_server OBJECT ${CMAKE_CURRENT_LIST_DIR}/server.cpp)
target_compile_features(pawl_test_postgres_server PUBLIC cxx_std_20)
target_compile_definitions(pawl_test_postgres_server PRIVATE PAWL_POSTGRES_FOLDER="${_server_folder}")
target_include_directories(pawl_test_postgres_server PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(pawl_test_postgres_server PRIVATE pawl_build_options)
