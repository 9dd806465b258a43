// The dashboard and the alerts of src/prometheus name the metrics and labels that an engine
// exports, and leave none out.
#include "engine/support.hpp"
#include "observability/promql.hpp"
#include "pawl/archive.hpp"
#include "pawl/connector.hpp"
#include "pawl/limit.hpp"
#include "pawl/postgres_load.hpp"
#include "pawl/prometheus.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <prometheus/registry.h>

#include <fstream>
#include <sstream>

BOOST_AUTO_TEST_SUITE(dashboard)

using namespace engine_test;
using observability_test::labels;
using observability_test::promql_names;
using observability_test::promql_parser;
using enum light;

namespace {

/// Exported, but not in the dashboard, with the reason.
const std::map<std::string, std::string, std::less<>> left_out{
    {"workflow_process_lag_alert", "1 if workflow_process_lag_seconds is above an option"},
    {"pawl_due_lag_seconds", "the greatest workflow_process_lag_seconds"},
};

/// Labels that Prometheus adds.
const labels target_labels{"job", "instance"};

constexpr pawl::limit card_api{"card-api", {.rate = 100, .concurrency = 20}};

pawl::step<yellow> warm_up(lamp_run& run)
{
    if (run.attempt() < 2)
        throw std::runtime_error("no bulb");
    co_return pawl::to<yellow>;
}

pawl::step<off> stay_on(lamp_run&)
{
    co_return pawl::skip();
}

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

asio::awaitable<void> fail_to_report(const pawl::snapshot<lamp, light>&)
{
    throw std::runtime_error("nobody listens");
}

asio::awaitable<void> see(pawl::event_context<lamp, light>&)
{
    co_return;
}

/// An engine that has done everything that has a metric.
class busy_engine : world {
public:
    busy_engine()
    {
        options.observer = metrics_;
        options.store = store;
        options.clock = clock;
        options.hook_retry = {.initial = 1s, .max_attempts = 1};
        engine.emplace(io.get_executor(), options);
        client_.emplace(engine->add(make_workflow()));
        engine->connect("copy", engine->events("lamps"), *client_, see);
        wait_for(engine->async_start(asio::use_awaitable));
        finish_run();
        read_everything();
    }

    /// The names of the exported metrics, each with its labels.
    std::map<std::string, labels, std::less<>> exported() const
    {
        std::map<std::string, labels, std::less<>> all;
        std::istringstream text{pawl::prometheus_text(*registry_)};
        for (std::string line; std::getline(text, line);)
            if (!line.starts_with('#'))
                for (const auto& [name, used] :
                     promql_parser{line.substr(0, line.rfind(' '))}.parse().metrics)
                    all[name].insert(used.begin(), used.end());
        return all;
    }

private:
    static pawl::workflow<lamp, light> make_workflow()
    {
        lamp_builder b{"lamps"};
        b.step<red>(warm_up).retry({.initial = 1s, .jitter = 0}).within(card_api);
        b.step<yellow>(stay_on);
        b.callback<yellow>("end", switch_off);
        b.end<off>();
        b.on_complete(fail_to_report);
        b.retention({.keep = 1h});
        return std::move(b).build();
    }

    void finish_run()
    {
        const auto run = wait_for(client_->async_trigger("a", lamp{}));
        advance(2s);
        wait_for(client_->async_call(run, "end", 0));
        for (int minutes = 0; minutes < 90; ++minutes)
            advance(1min);
    }

    /// What needs PostgreSQL or the admin API has tests in tests/postgres and tests/admin.
    void read_everything()
    {
        wait_for(metrics_->update_from(*engine));
        pawl::postgres_load load;
        load.pools = {{"read", 4, 1, 0}};
        metrics_->update(load);
        metrics_->admin_refused("denied");
    }

    std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
    std::shared_ptr<pawl::prometheus_metrics> metrics_ =
        std::make_shared<pawl::prometheus_metrics>(registry_);
    std::optional<lamps> client_;
};

std::string read_file(const std::string& name)
{
    std::ifstream file{PAWL_PROMETHEUS_FOLDER + ("/" + name)};
    std::ostringstream text;
    text << file.rdbuf();
    BOOST_REQUIRE(!text.str().empty());
    return text.str();
}

std::string base_name(std::string name)
{
    for (const std::string_view end : {"_bucket", "_sum", "_count"})
        if (name.ends_with(end) && name != "workflow_process_error_count" &&
            name != "workflow_process_skipped_events_count")
            return name.substr(0, name.size() - end.size());
    return name;
}

/// The labels that texts such as "{{topic}}" or "{{ $labels.topic }}" name.
labels named_in(const std::string& text, const std::string& before)
{
    labels found;
    for (auto at = text.find(before); at != text.npos; at = text.find(before, at + 1)) {
        const auto begin = at + before.size();
        const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin);
        found.insert(text.substr(begin, end - begin));
    }
    return found;
}

/// An expression, and the labels that its legend or summary shows.
struct query {
    std::string text;
    labels shown;
};

std::vector<query> dashboard_queries()
{
    std::vector<query> all;
    const auto dashboard = boost::json::parse(read_file("dashboard.json"));
    for (const auto& panel : dashboard.at("panels").as_array())
        if (panel.as_object().contains("targets"))
            for (const auto& target : panel.at("targets").as_array())
                all.push_back({target.at("expr").as_string().c_str(),
                               named_in(target.at("legendFormat").as_string().c_str(), "{{")});
    for (const auto& variable : dashboard.at("templating").at("list").as_array())
        if (variable.at("type") == "query") {
            const std::string text = variable.at("definition").as_string().c_str();
            const auto comma = text.rfind(',');
            all.push_back({text.substr(0, comma) + ")", named_in(text.substr(comma), ", ")});
        }
    return all;
}

/// The rules: each has an expr, of one line or folded, before its summary.
std::vector<query> alert_queries()
{
    std::vector<query> all;
    std::istringstream text{read_file("alerts.yml")};
    bool is_folded = false;
    for (std::string line; std::getline(text, line);) {
        if (is_folded && line.find_first_not_of(' ') == 10) {
            all.back().text += line.substr(10) + " ";
            continue;
        }
        const auto expr = line.find("expr: ");
        is_folded = expr != line.npos && line.ends_with(">-");
        if (expr != line.npos)
            all.push_back({is_folded ? "" : line.substr(expr + 6), {}});
        else if (line.find("summary: ") != line.npos)
            all.back().shown = named_in(line, "$labels.");
    }
    return all;
}

/// What is wrong with the names of a query; empty if nothing is.
std::string find_fault(const query& asked, const std::map<std::string, labels, std::less<>>& known)
{
    const auto names = promql_parser{asked.text}.parse();
    labels available = target_labels;
    for (const auto& [name, selected] : names.metrics) {
        const auto metric = known.find(name);
        if (metric == known.end())
            return "no metric is called " + name;
        for (const auto& label : selected)
            if (!metric->second.contains(label) && !target_labels.contains(label))
                return name + " has no label " + label;
        available.insert(metric->second.begin(), metric->second.end());
    }
    if (!names.groups.empty())
        for (const auto& label : names.groups)
            if (!available.contains(label))
                return "no metric of the expression has the label " + label;
    for (const auto& label : asked.shown)
        if (!available.contains(label) || (!names.groups.empty() && !names.groups.contains(label)))
            return "the result has no label " + label;
    return {};
}

} // namespace

BOOST_AUTO_TEST_CASE(dashboard_and_alerts_name_what_is_exported)
{
    const auto known = busy_engine{}.exported();
    auto all = dashboard_queries();
    BOOST_TEST(all.size() > 40u);
    const auto alerts = alert_queries();
    BOOST_TEST(alerts.size() > 10u);
    all.insert(all.end(), alerts.begin(), alerts.end());
    for (const auto& asked : all)
        BOOST_TEST(find_fault(asked, known) == "", find_fault(asked, known) << ": " << asked.text);
}

BOOST_AUTO_TEST_CASE(each_exported_metric_is_in_the_dashboard)
{
    labels shown;
    for (const auto& asked : dashboard_queries())
        for (const auto& [name, used] : promql_parser{asked.text}.parse().metrics)
            shown.insert(base_name(name));
    for (const auto& [name, used] : busy_engine{}.exported()) {
        const bool is_shown = shown.contains(base_name(name));
        const bool is_left_out = left_out.contains(name);
        BOOST_TEST(is_shown != is_left_out, name << (is_shown ? " is shown and also" : " is not")
                                                 << " shown or left out with a reason");
    }
}

BOOST_AUTO_TEST_CASE(each_alert_has_tests_and_a_page)
{
    const auto page = read_file("README.md");
    const auto tests = read_file("../../tests/observability/alerts_test.yml");
    std::istringstream text{read_file("alerts.yml")};
    int alerts = 0;
    for (std::string line; std::getline(text, line);) {
        const auto at = line.find("alert: ");
        if (at == line.npos)
            continue;
        const auto name = line.substr(at + 7);
        ++alerts;
        BOOST_TEST(page.find("### " + name + "\n") != page.npos, name << " is not in README.md");
        for (const std::string result : {" []", "\n          - exp_labels"})
            BOOST_TEST(tests.find("alertname: " + name + "\n        exp_alerts:" + result) !=
                           tests.npos,
                       name << " has no test with exp_alerts" << result);
    }
    BOOST_TEST(alerts == 16);
}

BOOST_AUTO_TEST_SUITE_END()
