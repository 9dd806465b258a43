// Mistakes in a declaration: each is refused by build() with a sentence that names the status, and
// all of them are listed together.
#include "api/orders.hpp"
#include "api/support.hpp"

#include <limits>

BOOST_AUTO_TEST_SUITE(builder_checks)

using namespace api_test;
using namespace std::chrono_literals;

namespace {

std::string problems(order_builder b)
{
    try {
        (void)std::move(b).build();
    } catch (const pawl::definition_error& failure) {
        return failure.what();
    }
    return "built";
}

/// A workflow that is right, for one mistake to be added.
order_builder right(std::string name = "orders")
{
    order_builder b{std::move(name)};
    b.step<created>(go<validated>);
    b.callback<validated>("ship", go<shipped>);
    b.end<shipped>();
    return b;
}

boost::asio::awaitable<void> watch(const order_builder::snapshot_type&)
{
    co_return;
}

struct mistake {
    const char* name;
    void (*make)(order_builder&);
    std::vector<std::string_view> words;
};

constexpr pawl::workflow_handle<order, order_status> nameless{""};
constexpr pawl::workflow_handle<order, order_status> parcels{"parcels"};

const std::vector<mistake> structure{
    {"a used workflow without a name",
     [](order_builder& b) { b.uses(nameless); },
     {"the name of a workflow that it uses is empty"}},
    {"a workflow used twice",
     [](order_builder& b) { b.uses(parcels).uses_foreign(parcels); },
     {"declares twice", "\"parcels\""}},
    {"a gap between upgrades",
     [](order_builder& b) { b.upgrade(2, [](std::string bytes) { return bytes; }); },
     {"from version 2", "none from version 1"}},
    {"two upgrades of a version",
     [](order_builder& b) {
         b.upgrade(1, [](std::string bytes) { return bytes; });
         b.upgrade(1, [](std::string bytes) { return bytes; });
     },
     {"two upgrades from version 1"}},
    {"a status retired and declared",
     [](order_builder& b) { b.replace_status<shipped>(2); },
     {"status 2", "declared as well"}},
    {"a status retired twice",
     [](order_builder& b) {
         b.replace_status<shipped>(77);
         b.replace_status<validated>(77);
     },
     {"status 77", "twice"}},
    {"a status retired in favour of nothing",
     [](order_builder& b) { b.replace_status<paying>(77); },
     {"status 77", "not declared"}},
    {"two steps",
     [](order_builder& b) { b.step<created>(go<shipped>); },
     {"created (1)", "2 steps"}},
    {"a dead end",
     [](order_builder& b) { b.step<paying>(go<failed>); },
     {"failed (4)", "arrive from paying (3)", "end<>()"}},
    {"a dead end after a callback",
     [](order_builder& b) { b.callback<created>("x", go<failed>); },
     {"failed (4)", "arrive from created (1)"}},
    {"a dead end after a timeout",
     [](order_builder& b) { b.timeout<created>(1s, go<failed>); },
     {"failed (4)", "arrive from created (1)"}},
    {"a dead end after the last attempt",
     [](order_builder& b) { b.step<paying>(go<shipped>).on_exhausted<failed>(); },
     {"failed (4)", "arrive from paying (3)"}},
    {"an end with a step",
     [](order_builder& b) { b.step<shipped>(go<shipped>); },
     {"shipped (5)", "end", "step"}},
    {"an end with a callback",
     [](order_builder& b) { b.end<validated>(); },
     {"validated (2)", "end", "callback"}},
    {"an end with a timeout",
     [](order_builder& b) { b.timeout<shipped>(1s, go<shipped>); },
     {"shipped (5)", "end", "timeout"}},
    {"an end that nobody reaches",
     [](order_builder& b) { b.end<cancelled>(); },
     {"cancelled (6)", "reach"}},
    {"a cycle that nobody reaches",
     [](order_builder& b) {
         b.step<paying>(go<failed>);
         b.step<failed>(go<paying>);
     },
     {"paying (3)", "failed (4)", "reach"}},
    {"a start that is an end",
     [](order_builder& b) { b.start<shipped>(); },
     {"shipped (5)", "as an end and as a start"}},
    {"a start without handlers",
     [](order_builder& b) { b.start<paying>(); },
     {"paying (3)", "as a start, but has no step"}},
    {"a callback twice",
     [](order_builder& b) { b.callback<validated>("ship", go<shipped>); },
     {"validated (2)", "two callbacks", "\"ship\""}},
    {"a callback without a name",
     [](order_builder& b) { b.callback<validated>("", go<shipped>); },
     {"validated (2)", "name is empty"}},
    {"a callback with a long name",
     [](order_builder& b) { b.callback<validated>(std::string(129, 'x'), go<shipped>); },
     {"validated (2)", "128"}},
};

/// A value that the compiler does not know: those that it does it refuses itself.
template <class T>
T unknown(T value)
{
    return value;
}

constexpr auto nan = std::numeric_limits<double>::quiet_NaN();

const std::vector<mistake> options{
    {"retention for no time",
     [](order_builder& b) { b.retention({}); },
     {"retention", "keep must be above zero"}},
    {"retention in no batches",
     [](order_builder& b) { b.retention({.keep = 1h, .batch = 0}); },
     {"retention", "batch must be from 1 to 1,000"}},
    {"initial",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.initial = 0s}); },
     {"paying (3)", "step", "initial"}},
    {"multiplier",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.multiplier = 0.9}); },
     {"paying (3)", "multiplier"}},
    {"multiplier nan",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.multiplier = nan}); },
     {"paying (3)", "multiplier"}},
    {"max_interval",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.initial = 2min}); },
     {"paying (3)", "max_interval"}},
    {"jitter below",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.jitter = -0.1}); },
     {"paying (3)", "jitter"}},
    {"jitter above",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.jitter = 1.1}); },
     {"paying (3)", "jitter"}},
    {"jitter nan",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.jitter = nan}); },
     {"paying (3)", "jitter"}},
    {"max_attempts",
     [](order_builder& b) { b.step<paying>(go<shipped>).retry({.max_attempts = -1}); },
     {"paying (3)", "max_attempts"}},
    {"attempt_timeout",
     [](order_builder& b) { b.step<paying>(go<shipped>).attempt_timeout(unknown(-1us)); },
     {"paying (3)", "attempt_timeout"}},
    {"start_delay",
     [](order_builder& b) { b.step<paying>(go<shipped>).start_delay(unknown(-1us)); },
     {"paying (3)", "start_delay"}},
    {"max_concurrency",
     [](order_builder& b) {
         b.step<paying>(go<shipped>).max_concurrency(unknown(pawl::max_concurrency_ceiling + 1));
     },
     {"paying (3)", "max_concurrency", "1000000"}},
    {"limit's rate",
     [](order_builder& b) {
         b.step<paying>(go<shipped>).within(pawl::limit{"api", {.rate = 0, .burst = -1}});
     },
     {"paying (3)", "limit \"api\"", "rate is 0; it must be from 1 to 1,000,000", "burst is -1"}},
    {"limit's concurrency",
     [](order_builder& b) {
         b.step<paying>(go<shipped>).within(pawl::limit{"api", {.concurrency = -2}});
     },
     {"paying (3)", "limit \"api\"", "concurrency is -2; it must be from 1 to 1,000,000"}},
    {"limit without numbers",
     [](order_builder& b) { b.step<paying>(go<shipped>).within(pawl::limit{"api", {}}); },
     {"paying (3)", "limit \"api\"", "limits nothing"}},
    {"limit's time",
     [](order_builder& b) {
         b.step<paying>(go<shipped>).within(pawl::limit{"api", {.rate = 1, .per = 0s}});
     },
     {"paying (3)", "per is 0 s"}},
    {"limit's name",
     [](order_builder& b) {
         b.step<paying>(go<shipped>).within(pawl::limit{"card api", {.rate = 1}});
     },
     {"the limit of paying (3)", "characters"}},
    {"limit with other numbers",
     [](order_builder& b) {
         b.step<validated>(go<paying>).within(pawl::limit{"api", {.rate = 1}});
         b.step<paying>(go<shipped>).within(pawl::limit{"api", {.rate = 2}});
     },
     {"paying (3)", "limit \"api\" has other numbers"}},
    {"turns without a limit",
     [](order_builder& b) { b.step<paying>(go<shipped>).fair_by([](const auto&) { return 1; }); },
     {"paying (3)", "fair_by needs a limit"}},
    {"defaults",
     [](order_builder& b) { b.defaults({.start_delay = -1s}); },
     {"created (1)", "start_delay"}},
    {"timeout's duration",
     [](order_builder& b) { b.timeout<created>(unknown(0s), go<shipped>); },
     {"created (1)", "its timeout's", "duration"}},
    {"timeout's retry",
     [](order_builder& b) {
         b.timeout<created>("first", 1s, go<shipped>);
         b.timeout<created>("second", 1s, go<shipped>).retry({.initial = -1s});
     },
     {"created (1)", "its timeout \"second\"", "initial"}},
    {"timeout's attempt_timeout",
     [](order_builder& b) { b.timeout<created>(1s, go<shipped>).attempt_timeout(unknown(-1s)); },
     {"created (1)", "its timeout's", "attempt_timeout"}},
    {"two timeouts, one of them without a name",
     [](order_builder& b) {
         b.timeout<created>(1s, go<shipped>);
         b.timeout<created>("second", 2s, go<shipped>);
     },
     {"created (1)", "2 timeouts", "name it"}},
    {"two timeouts of one name",
     [](order_builder& b) {
         b.timeout<created>("first", 1s, go<shipped>);
         b.timeout<created>("first", 2s, go<shipped>);
     },
     {"created (1)", "two timeouts named \"first\""}},
    {"two timeouts whose names have the same hash",
     [](order_builder& b) {
         b.timeout<created>("close-irnqo", 1s, go<shipped>);
         b.timeout<created>("remind", 2s, go<shipped>);
         b.timeout<created>("close-pwlfr", 3s, go<shipped>);
     },
     {"created (1)", "\"close-irnqo\" and \"close-pwlfr\"", "hash", "rename"}},
    {"a timeout's name that is too long",
     [](order_builder& b) { b.timeout<created>(std::string(129, 'n'), 1s, go<shipped>); },
     {"created (1)", "timeout's name", "128"}},
    {"two hooks of one kind without a name",
     [](order_builder& b) { b.on_pause(watch).on_pause(watch); },
     {"on_pause", "without a name", "on_pause(\"mail\", fn)"}},
    {"two hooks of one name",
     [](order_builder& b) { b.on_pause("mail", watch).on_pause("mail", watch); },
     {"on_pause", "named \"mail\""}},
    {"a hook's empty name",
     [](order_builder& b) { b.on_enter<shipped>("", watch); },
     {"on_enter", "1 to 128 bytes"}},
    {"a renamed status that is not declared",
     [](order_builder& b) { b.renamed<failed>("broken"); },
     {"status ", "\"broken\"", "not declared"}},
    {"a status that is renamed from its own label",
     [](order_builder& b) { b.renamed<created>("created"); },
     {"created (1)", "renamed"}},
    {"an older version to write without a way back to it",
     [](order_builder& b) { b.upgrade(1, [](boost::json::value&) {}).write_version(1); },
     {"write_version is 1", "upgrade(1, up, down)"}},
    {"a version to write that is not known",
     [](order_builder& b) { b.write_version(2); },
     {"write_version is 2", "versions 1 to 1"}},
    {"resume time",
     [](order_builder& b) { b.auto_resume(unknown(-1s), 1); },
     {"auto_resume", "time"}},
    {"resume count",
     [](order_builder& b) { b.auto_resume(1s, unknown(-1)); },
     {"auto_resume", "times"}},
};

void check(const std::vector<mistake>& table)
{
    for (const auto& row : table) {
        BOOST_TEST_CONTEXT(row.name)
        {
            auto b = right();
            row.make(b);
            const auto text = problems(std::move(b));
            BOOST_TEST(contains(text, "\"orders\""));
            for (const auto word : row.words)
                BOOST_TEST(contains(text, word));
        }
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(what_is_right_is_built)
{
    BOOST_TEST(problems(right()) == "built");
    BOOST_TEST(problems(right("A-z_0.9")) == "built");
    BOOST_TEST(problems(right(std::string(128, 'x'))) == "built");
    auto limits = right();
    limits.step<paying>(go<shipped>)
        .retry({.initial = 2min, .multiplier = 1, .jitter = 1, .max_attempts = 0})
        .attempt_timeout(0s)
        .start_delay(0s);
    limits.auto_resume(0s, 0);
    BOOST_TEST(problems(std::move(limits)) == "built");
    // Effects and keys of two statuses are apart.
    auto timeouts = right();
    timeouts.timeout<created>("close-irnqo", 1s, go<shipped>);
    timeouts.timeout<validated>("close-pwlfr", 1s, go<shipped>);
    BOOST_TEST(problems(std::move(timeouts)) == "built");
}

BOOST_AUTO_TEST_CASE(mistakes_in_the_graph)
{
    check(structure);
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range)
{
    check(options);
}

BOOST_AUTO_TEST_CASE(names_of_workflows)
{
    BOOST_TEST(contains(problems(right("")), "name is empty"));
    BOOST_TEST(contains(problems(right(std::string(129, 'x'))), "128"));
    for (const char* name : {"two words", "a/b", "é", "a\n", "a:b"})
        BOOST_TEST(contains(problems(right(name)), "other characters"));
}

BOOST_AUTO_TEST_CASE(names_and_number_of_attributes)
{
    const auto one = [](const order&) {
        return 1;
    };
    auto b = right();
    for (int i = 0; i < 7; ++i)
        b.attribute(std::string(128 - i, 'x'), one);
    b.attribute("x", one);
    BOOST_TEST(problems(std::move(b)) == "built");
    b = right();
    for (int i = 0; i < 9; ++i)
        b.attribute("lines-" + std::to_string(i), one);
    BOOST_TEST(contains(problems(std::move(b)), "it has 9 attributes; a workflow has at most 8"));
    b = right();
    b.attribute("", one).attribute(std::string(129, 'x'), one);
    b.attribute("lines", one).attribute("lines", one);
    const auto text = problems(std::move(b));
    for (const char* words : {"an attribute's name is empty", "longer than 128 bytes",
                              "it has two attributes named \"lines\""})
        BOOST_TEST(contains(text, words));
}

BOOST_AUTO_TEST_CASE(a_workflow_without_handlers_or_starts)
{
    BOOST_TEST(contains(problems(order_builder{"orders"}), "no step, callback or timeout"));
    order_builder circle{"orders"};
    circle.step<created>(go<validated>);
    circle.step<validated>(go<created>);
    BOOST_TEST(contains(problems(std::move(circle)), "no run can start"));
}

BOOST_AUTO_TEST_CASE(all_mistakes_are_listed_together)
{
    auto b = right("a name");
    b.step<created>(go<failed>).retry({.initial = 0s, .jitter = 3});
    b.step<created>(go<failed>);
    b.end<cancelled>();
    const auto text = problems(std::move(b));
    for (const char* words : {"other characters", "3 steps", "failed (4)", "cancelled (6)"})
        BOOST_TEST(contains(text, words));
}

BOOST_AUTO_TEST_SUITE_END()
