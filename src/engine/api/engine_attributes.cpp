// Attributes of runs that are in the store already: client::async_fill_attributes().
#include "core/attribute_changes.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/run/run_attributes.hpp"

#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

namespace {

/// How often a run is read again that has committed between its reading and its update.
constexpr int max_rounds = 3;

/// Fills one page.
class attribute_filler {
public:
    attribute_filler(std::shared_ptr<const workflow_impl> workflow, record_store& store,
                     log_sink log)
        : workflow_(std::move(workflow)), store_(store), log_(std::move(log))
    {
    }

    asio::awaitable<attribute_fill> run(list_position after, std::size_t limit);

private:
    void add(const record& run);
    asio::awaitable<std::vector<run_id>> update();
    void fail(run_id run, std::string_view reason);

    const std::shared_ptr<const workflow_impl> workflow_;
    record_store& store_;
    const log_sink log_;
    std::vector<change> batch_;
    attribute_fill result_;
};

void attribute_filler::fail(run_id run, std::string_view reason)
{
    ++result_.failed;
    const auto text =
        "the attributes of run " + to_string(run) + " are not filled in: " + std::string{reason};
    log_entry entry{log_level::warn, text};
    entry.workflow = workflow_->rules.name;
    entry.run = run;
    log_(entry);
}

void attribute_filler::add(const record& run)
{
    if (run.state == run_state::data_deleted || run.state == run_state::requested_data_deleted)
        return;
    if (core::are_declared(run.attributes, workflow_->rules.attributes))
        return;
    try {
        attribute_changes present{.replaces_all = true, .values = {}};
        for (auto& attribute : engine_detail::attributes_of(*workflow_, run))
            if (attribute.value)
                present.values.push_back(std::move(attribute));
        batch_.push_back(attribute_update{run.id, run.version, std::move(present)});
    } catch (...) {
        fail(run.id, exception_text(std::current_exception()));
    }
}

/// Stores the updates. Returns the runs that have committed meanwhile.
asio::awaitable<std::vector<run_id>> attribute_filler::update()
{
    std::vector<run_id> changed;
    if (batch_.empty())
        co_return changed;
    const auto results = co_await store_.apply(batch_);
    for (std::size_t i = 0; i < results.size(); ++i)
        if (results[i].status == apply_status::accepted)
            ++result_.updated;
        else if (results[i].status == apply_status::conflict)
            changed.push_back(std::get<attribute_update>(batch_[i]).run);
    batch_.clear();
    co_return changed;
}

asio::awaitable<attribute_fill> attribute_filler::run(list_position after, std::size_t limit)
{
    record_query query;
    query.workflow = workflow_->rules.name;
    query.limit = limit;
    query.after = after;
    const auto page = co_await store_.list(query);
    result_.next = page.next;
    result_.runs = page.runs.size();
    for (const auto& run : page.runs)
        add(run);
    auto changed = co_await update();
    for (int round = 1; round < max_rounds && !changed.empty(); ++round) {
        for (const auto& id : changed) {
            const auto run = co_await store_.find(id);
            if (run)
                add(*run);
        }
        changed = co_await update();
    }
    for (const auto& id : changed)
        fail(id, "it has committed " + std::to_string(max_rounds) + " times meanwhile");
    co_return std::move(result_);
}

asio::awaitable<attribute_fill> fill_page(std::shared_ptr<const workflow_impl> workflow,
                                          record_store& store, log_sink log, list_position after,
                                          std::size_t limit)
{
    if (limit < 1 || limit > 1000)
        throw error(errc::invalid_argument, "the limit of async_fill_attributes is " +
                                                std::to_string(limit) +
                                                "; it must be from 1 to 1000");
    attribute_filler filler{std::move(workflow), store, std::move(log)};
    auto filled = co_await filler.run(after, limit);
    co_return filled;
}

} // namespace

void engine_core::fill_attributes(std::shared_ptr<const workflow_impl> workflow,
                                  list_position after, std::size_t limit,
                                  completion<attribute_fill> done)
{
    launch(fill_page(std::move(workflow), shared_.store, shared_.log, after, limit),
           std::move(done));
}

} // namespace pawl::detail
