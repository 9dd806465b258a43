// The operations of the writer on the attributes of runs.
#include "stores/common/attribute_ranges.hpp"
#include "stores/sqlite/writer.hpp"

#include <algorithm>
#include <utility>

namespace pawl::sqlite {

void writer::change_attributes(const attribute_changes& changes, std::int64_t run)
{
    if (changes.replaces_all)
        remove_other_attributes(changes.values, run);
    for (const stored_attribute& changed : changes.values)
        if (changed.value) {
            const auto value = core::encode_attribute(*changed.value);
            execution{store_attribute_}.bind(changed.name).blob(value).bind(run).run();
        } else {
            execution{remove_attribute_}.bind(run).bind(changed.name).run();
        }
}

void writer::remove_other_attributes(const std::vector<stored_attribute>& kept, std::int64_t run)
{
    if (kept.empty()) {
        execution{remove_attributes_}.bind(run).run();
        return;
    }
    std::vector<std::string> others;
    {
        execution row{list_attributes_};
        row.bind(run);
        while (row.row()) {
            std::string name;
            row.read(name);
            if (std::ranges::find(kept, name, &stored_attribute::name) == kept.end())
                others.push_back(std::move(name));
        }
    }
    for (const std::string& name : others)
        execution{remove_attribute_}.bind(run).bind(name).run();
}

apply_result writer::apply_one(const attribute_update& change)
{
    std::int64_t run = 0;
    std::uint64_t version = 0;
    // The runs of a whole workflow are updated: they must not displace the runs in flight.
    if (const auto* const known = known_.find(change.run)) {
        run = known->row;
        version = known->version;
    } else {
        execution row{find_version_};
        if (!row.bind(change.run).row())
            return {.status = apply_status::not_found};
        row.read(run);
        row.read(version);
    }
    if (version != change.expected_version)
        return {.status = apply_status::conflict};
    change_attributes(change.attributes, run);
    return {};
}

} // namespace pawl::sqlite
