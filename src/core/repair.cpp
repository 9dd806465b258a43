#include "core/repair.hpp"

#include "pawl/codec.hpp"

namespace pawl::core {

std::string encode_repair(const repair_request& request)
{
    std::string payload;
    codec<repair_request>::encode(request, payload);
    return payload;
}

repair_request decode_repair(const std::string& payload)
{
    return codec<repair_request>::decode(payload);
}

} // namespace pawl::core
