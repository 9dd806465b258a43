# pawl_embed_console(file): writes the source that holds the files of bundle/.
function(pawl_embed_console output)
    set(definitions "")
    set(entries "")
    # Of each file: its name in bundle/, its path below the prefix, its content type.
    foreach(line IN ITEMS "index.html||text/html" "console.js|console.js|text/javascript"
            "console.css|console.css|text/css" "icon.svg|icon.svg|image/svg+xml")
        string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|(.*)$" ignored "${line}")
        set(source ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/bundle/${CMAKE_MATCH_1}.gz)
        set(path "${CMAKE_MATCH_2}")
        set(type "${CMAKE_MATCH_3}")
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
        file(SHA256 ${source} hash)
        string(SUBSTRING ${hash} 0 16 hash)
        file(READ ${source} bytes HEX)
        string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
        string(APPEND definitions "constexpr unsigned char file_${hash}[] = {${bytes}};\n")
        string(APPEND entries "        {\"${path}\", \"${type}\", \"\\\"${hash}\\\"\", bytes_of(file_${hash})},\n")
    endforeach()
    file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
#include "admin/console_files.hpp"

#include <cstddef>

namespace pawl::admin::detail {
namespace {

@definitions@
template <std::size_t Size>
std::string_view bytes_of(const unsigned char (&file)[Size]) noexcept
{
    return {reinterpret_cast<const char*>(file), Size};
}

} // namespace

std::span<const console_file> console_files() noexcept
{
    static const console_file files[] = {
@entries@    };
    return files;
}

} // namespace pawl::admin::detail
]])
endfunction()
