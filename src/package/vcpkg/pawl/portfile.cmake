# An overlay port: it builds the repository that contains it.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        sqlite PAWL_SQLITE
        postgres PAWL_POSTGRES
        http PAWL_HTTP
        admin PAWL_ADMIN
        otlp PAWL_OTLP
        cli PAWL_CLI
        prometheus PAWL_PROMETHEUS
        nats PAWL_NATS
        testing PAWL_TESTING)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS ${FEATURE_OPTIONS} -DPAWL_BUILD_TESTS=OFF -DPAWL_BUILD_EXAMPLES=OFF -DPAWL_BUILD_BENCH=OFF -DPAWL_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/pawl)
vcpkg_fixup_pkgconfig()
if("cli" IN_LIST FEATURES)
    vcpkg_copy_tools(TOOL_NAMES pawl AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
# The project has no license file yet; the licenses of its dependencies are in licenses.md.
file(INSTALL "${SOURCE_PATH}/src/package/licenses.md" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}" RENAME copyright)
