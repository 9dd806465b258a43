// Whatever a customization point throws ends in a documented outcome, for its run or call alone.
#include "engine/support.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"

#include <stdexcept>

using namespace engine_test;
using enum light;

namespace {

/// With a codec that throws when it is told to.
struct odd {
    std::string text;
};

std::function<void()> on_encode;
std::function<void()> on_decode;

void call(const std::function<void()>& told)
{
    if (told)
        told();
}

} // namespace

template <>
struct pawl::codec<odd> {
    static void encode(const odd& from, std::string& out)
    {
        call(on_encode);
        out += from.text;
    }

    static odd decode(std::string_view bytes)
    {
        call(on_decode);
        return {std::string{bytes}};
    }
};

BOOST_AUTO_TEST_SUITE(thrown)

namespace {

using odds = pawl::client<odd, light>;
using odd_builder = pawl::builder<odd, light>;
using odd_run = pawl::run<odd>;

struct thrower {
    const char* name;
    std::function<void()> raise;
};

struct silent : std::exception {
    const char* what() const noexcept override { return ""; }
};

struct plain {};

const std::vector<thrower>& throwers()
{
    static const std::vector<thrower> all{
        {"runtime_error",
         [] {
             throw std::runtime_error("mine");
         }},
        {"an error of Pawl's",
         [] {
             throw pawl::system_error(make_error_code(pawl::errc::already_finished));
         }},
        {"an exception without text",
         [] {
             throw silent{};
         }},
        {"a number",
         [] {
             throw 7;
         }},
        {"a text",
         [] {
             throw std::string{"mine"};
         }},
        {"a type of its own",
         [] {
             throw plain{};
         }},
    };
    return all;
}

pawl::step<off> finish(odd_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> take(odd_run&, const odd&)
{
    co_return pawl::to<off>;
}

struct odd_world : world {
    std::optional<odds> client;

    ~odd_world() { on_encode = on_decode = nullptr; }

    static odd_builder draft()
    {
        odd_builder b{"odds"};
        b.callback<red, yellow>("take", take);
        b.start<red>().start<yellow>().start<green>();
        b.step<green>(finish);
        b.end<off>();
        return b;
    }

    odds& begin(odd_builder b)
    {
        options.store = store;
        options.clock = clock;
        engine.emplace(io.get_executor(), options);
        client = engine->add(std::move(b).build());
        wait_for(engine->async_start());
        return *client;
    }

    odds& begin()
    {
        auto b = draft();
        b.step<red>(finish);
        return begin(std::move(b));
    }

    pawl::run_id trigger(light at, std::string id = "a")
    {
        const auto run = wait_for(client->async_trigger(std::move(id), odd{"x"}, {.start = at}));
        settle();
        return run;
    }

    pawl::record stored(pawl::run_id run)
    {
        auto found = wait_for(store->find(run));
        BOOST_REQUIRE(found.has_value());
        return std::move(*found);
    }

    /// Nobody else has noticed.
    void expect_well()
    {
        on_encode = on_decode = nullptr;
        const auto run = trigger(green, "healthy");
        BOOST_TEST(stored(run).state == pawl::run_state::completed);
    }
};

void expect_paused(odd_world& w, pawl::run_id run)
{
    const auto left = w.stored(run);
    BOOST_TEST(left.state == pawl::run_state::paused);
    BOOST_TEST(left.pause == pawl::pause_kind::by_error);
    BOOST_TEST(!left.last_error.empty());
    BOOST_TEST(!left.reason.empty());
    const auto with_error = w.wait_for(w.client->async_list({.has_error = true}));
    BOOST_TEST(with_error.runs.size() == 1u);
}

void expect_deleted(odd_world& w, pawl::run_id run)
{
    w.wait_for(w.client->async_delete_data(run, "asked"));
    w.settle();
    w.advance(1min);
    const auto left = w.stored(run);
    BOOST_TEST(left.state == pawl::run_state::data_deleted);
    BOOST_TEST(left.object.find('x') == std::string::npos);
}

struct row {
    const char* point;
    std::function<void(odd_world&, const thrower&)> check;
};

void encode_of_a_call(odd_world& w, const thrower& t)
{
    auto& c = w.begin();
    const auto run = w.trigger(yellow);
    on_encode = t.raise;
    BOOST_TEST(w.error_of(c.async_trigger("b", odd{})) == pawl::errc::encode_failed);
    BOOST_TEST(w.error_of(c.async_call(run, "take", odd{})) == pawl::errc::encode_failed);
    BOOST_TEST(w.error_of(c.async_send(run, "take", odd{})) == pawl::errc::encode_failed);
}

void decode_of_an_answer(odd_world& w, const thrower& t)
{
    auto& c = w.begin();
    const auto run = w.trigger(green);
    on_decode = t.raise;
    BOOST_TEST(w.error_of(c.async_find(run)) == pawl::errc::decode_failed);
    BOOST_TEST(w.error_of(c.async_find_latest("a")) == pawl::errc::decode_failed);
    BOOST_TEST(w.error_of(c.async_await(run, {off})) == pawl::errc::decode_failed);
    BOOST_TEST(w.error_of(c.async_await(run, {red})) == pawl::errc::decode_failed);
    BOOST_TEST(w.error_of(c.async_await_finished(run)) == pawl::errc::decode_failed);
    const auto page = w.wait_for(c.async_list({}));
    BOOST_REQUIRE(page.runs.size() == 1u);
    BOOST_TEST(!page.runs.front().decode_error.empty());
}

void decode_and_encode_in_a_step(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.step<red>([raise = t.raise](odd_run&) -> pawl::step<off> {
         on_encode = raise;
         co_return pawl::to<off>;
     }).retry({.max_attempts = 1});
    w.begin(std::move(b));
    const auto run = w.trigger(red);
    on_encode = nullptr;
    expect_paused(w, run);
    on_decode = t.raise;
    w.wait_for(w.client->async_resume(run));
    w.settle();
    on_decode = nullptr;
    expect_paused(w, run);
}

void a_step(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.step<red>([raise = t.raise](odd_run&) -> pawl::step<off> {
         raise();
         co_return pawl::to<off>;
     }).retry({.max_attempts = 1});
    w.begin(std::move(b));
    expect_paused(w, w.trigger(red));
}

void a_timer_function(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.step<red>([](odd_run&) -> pawl::step<broken> {
         co_return pawl::to<broken>;
     }).retry({.max_attempts = 1});
    b.timeout<broken>(
        [raise = t.raise](const odd_run&) -> std::optional<pawl::time_point> {
            raise();
            return {};
        },
        finish);
    b.start<broken>();
    auto& c = w.begin(std::move(b));
    const auto refused = w.error_of(c.async_trigger("b", odd{}, {.start = broken}));
    BOOST_TEST(refused == pawl::errc::invalid_argument);
    expect_paused(w, w.trigger(red));
}

void a_predicate(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.step<red>([](odd_run& run) -> pawl::step<off> {
         if (run.attempt() < 3)
             throw std::runtime_error("not yet");
         co_return pawl::to<off>;
     }).retry({.permanent = [raise = t.raise](const std::exception_ptr&) -> bool {
        raise();
        return true;
    }});
    w.begin(std::move(b));
    const auto run = w.trigger(red);
    w.wait_for(w.client->async_await(run, {off})); // it counts as one to repeat
}

void a_scrubber(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.scrub([raise = t.raise](odd&) { raise(); });
    w.begin(std::move(b));
    expect_deleted(w, w.trigger(green));
}

void a_blank_object(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    w.begin(std::move(b));
    const auto run = w.trigger(green);
    on_encode = t.raise;
    expect_deleted(w, run);
    BOOST_TEST(w.stored(run).object == "{}");
}

void an_upgrade(odd_world& w, const thrower& t)
{
    w.begin();
    const auto run = w.trigger(yellow);
    w.stop();
    auto b = w.draft();
    b.upgrade(1, [raise = t.raise](std::string bytes) {
        raise();
        return bytes;
    });
    auto& c = w.begin(std::move(b));
    BOOST_TEST(w.error_of(c.async_find(run)) == pawl::errc::decode_failed);
    const auto page = w.wait_for(c.async_list({}));
    BOOST_TEST(!page.runs.front().decode_error.empty());
}

struct throwing_observer : pawl::observer {
    explicit throwing_observer(std::function<void()> raise) : raise_(std::move(raise)) {}

    void committed(const pawl::transition&) override { raise_(); }
    void handler_ended(const pawl::handler_report&) override { raise_(); }
    void discarded(std::string_view, std::string_view, pawl::discard_reason) override { raise_(); }
    void message_settled(std::string_view, pawl::message_kind, pawl::message_outcome,
                         pawl::duration) override
    {
        raise_();
    }
    void batch_applied(std::size_t, pawl::duration, bool) override { raise_(); }
    void engine_changed(std::string_view, pawl::engine_state) override { raise_(); }

    const std::function<void()> raise_;
};

void an_observer(odd_world& w, const thrower& t)
{
    w.options.observer = std::make_shared<throwing_observer>(t.raise);
    auto& c = w.begin();
    const auto run = w.trigger(yellow);
    w.wait_for(c.async_call(run, "take", odd{}));
    BOOST_TEST(w.stored(run).state == pawl::run_state::completed);
    BOOST_TEST(std::ranges::count_if(w.log, [](const std::string& line) {
                   return line.find("the observer threw") != std::string::npos;
               }) >= 1);
}

void a_hook(odd_world& w, const thrower& t)
{
    auto b = w.draft();
    b.on_start([raise = t.raise](const pawl::snapshot<odd, light>&) -> asio::awaitable<void> {
        raise();
        co_return;
    });
    w.begin(std::move(b));
    const auto run = w.trigger(green);
    BOOST_TEST(w.stored(run).state == pawl::run_state::completed);
}

/// Throws anything from every function that it is asked by.
struct throwing_store : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        call(raise);
        return inner().find(id);
    }

    std::optional<pawl::record> try_find(pawl::run_id) override
    {
        call(raise);
        return {};
    }

    asio::awaitable<std::optional<pawl::record>> latest(std::string_view workflow,
                                                        std::string_view id) override
    {
        call(raise);
        return inner().latest(workflow, id);
    }

    asio::awaitable<pawl::record_page> list(const pawl::record_query& query) override
    {
        call(raise);
        return inner().list(query);
    }

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        call(raise);
        return inner().apply(batch);
    }

    std::function<void()> raise;
};

void a_store(odd_world& w, const thrower& t)
{
    const auto broken_store = std::make_shared<throwing_store>(w.store);
    w.store = broken_store;
    auto& c = w.begin();
    const auto run = w.trigger(yellow);
    broken_store->raise = t.raise;
    const pawl::error_code codes[] = {w.error_of(c.async_find(run)),
                                      w.error_of(c.async_find_latest("a")),
                                      w.error_of(c.async_list({})),
                                      w.error_of(c.async_await_finished(run)),
                                      w.error_of(c.async_trigger("b", odd{})),
                                      w.error_of(c.async_cancel(run, "no"))};
    for (const auto& code : codes)
        BOOST_TEST(
            (code == pawl::errc::unexpected_exception || code == pawl::errc::already_finished),
            code.message());
    broken_store->raise = nullptr;
    w.advance(2s);
}

const std::vector<row>& rows()
{
    static const std::vector<row> all{
        {"encode of a call", encode_of_a_call},
        {"decode of an answer", decode_of_an_answer},
        {"decode and encode in a step", decode_and_encode_in_a_step},
        {"a step", a_step},
        {"a timer function", a_timer_function},
        {"a predicate", a_predicate},
        {"a scrubber", a_scrubber},
        {"a blank object", a_blank_object},
        {"an upgrade", an_upgrade},
        {"an observer", an_observer},
        {"a hook", a_hook},
        {"a store", a_store},
    };
    return all;
}

} // namespace

BOOST_AUTO_TEST_CASE(any_customization_point_may_throw_anything)
{
    for (const auto& [point, check] : rows())
        for (const auto& thrower : throwers())
            BOOST_TEST_CONTEXT(point << " throws " << thrower.name)
            {
                odd_world w;
                check(w, thrower);
                w.expect_well();
            }
}

BOOST_AUTO_TEST_CASE(a_line_for_which_the_log_sink_throws_changes_nothing)
{
    for (const auto& thrower : throwers())
        BOOST_TEST_CONTEXT(thrower.name)
        {
            odd_world w;
            int lines = 0;
            w.options.log = [&](const pawl::log_entry&) {
                ++lines;
                thrower.raise();
            };
            w.begin();
            w.trigger(yellow);
            w.stop();
            w.begin(); // tells of the unfinished run
            w.expect_well();
            BOOST_TEST(lines > 0);
        }
}

BOOST_AUTO_TEST_CASE(a_default_object_that_cannot_be_encoded_is_refused_by_build)
{
    for (const auto& thrower : throwers()) {
        auto b = odd_world::draft();
        on_encode = thrower.raise;
        BOOST_CHECK_EXCEPTION(std::move(b).build(), pawl::definition_error, [](const auto& e) {
            return std::string{e.what()}.find("default-constructed") != std::string::npos;
        });
        on_encode = nullptr;
    }
}

BOOST_AUTO_TEST_SUITE_END()
