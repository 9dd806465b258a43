// An engine on four threads and the machine's clock, while other threads pause, resume, cancel,
// call back and wait at random, and the engine is stopped and started in the midst: every run
// finishes, each transition happens once, and each callback is handled once.
#include "engine/support.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <thread>

BOOST_AUTO_TEST_SUITE(threads)

using namespace engine_test;

namespace {

enum class stage { one = 1, two, three, four, five, done };
BOOST_DESCRIBE_ENUM(stage, one, two, three, four, five, done)

struct job {
    std::vector<int> steps; ///< that have run, in order
    std::vector<int> notes; ///< of callbacks, in order
};
BOOST_DESCRIBE_STRUCT(job, (), (steps, notes))

using jobs = pawl::client<job, stage>;

constexpr int runs = 2000;
constexpr int operations = 1500; ///< of each thread that disturbs

/// Random numbers for any thread.
unsigned draw(unsigned below)
{
    thread_local std::mt19937 random{std::random_device{}()};
    return random() % below;
}

template <auto From, auto To>
pawl::step<To> go_on(pawl::run<job>& run)
{
    const auto clock = pawl::default_clock();
    if (const auto wait = draw(3); wait > 0)
        co_await wait_on(*clock, std::chrono::milliseconds{wait});
    if (draw(50) == 0)
        throw std::runtime_error("now and then");
    run.object().steps.push_back(static_cast<int>(From));
    co_return pawl::to<To>;
}

/// Saves a note, and leaves the run where it is.
pawl::step<> take_note(pawl::run<job>& run, int note)
{
    run.object().notes.push_back(note);
    co_return pawl::repeat_after(0s);
}

pawl::workflow<job, stage> five_steps()
{
    using enum stage;
    pawl::builder<job, stage> b{"jobs"};
    b.defaults({.retry = {.initial = 1ms, .multiplier = 1, .max_attempts = 0}});
    b.step<one>(go_on<one, two>);
    b.step<two>(go_on<two, three>).max_concurrency(20);
    b.step<three>(go_on<three, four>);
    b.step<four>(go_on<four, five>).max_concurrency(50);
    b.step<five>(go_on<five, done>);
    b.callback<one, two, three, four, five>("note", take_note);
    b.end<done>();
    return std::move(b).build();
}

/// The io_context's threads, the engine of the moment, and its client for everybody.
class machine {
public:
    machine()
    {
        for (int i = 0; i < 4; ++i)
            threads_.emplace_back([this] { io_.run(); });
    }

    ~machine()
    {
        work_.reset();
        for (auto& each : threads_)
            each.join();
    }

    void start()
    {
        pawl::engine_options options;
        options.store = store;
        options.max_active_runs = 500;
        options.log = [this](const pawl::log_entry& entry) {
            if (entry.level == pawl::log_level::error) {
                const std::lock_guard lock{mutex_};
                errors_.push_back(to_string(entry));
            }
        };
        engine_.emplace(io_.get_executor(), options);
        auto client = engine_->add(five_steps());
        engine_->async_start(asio::use_future).get();
        const std::lock_guard lock{mutex_};
        client_.emplace(std::move(client));
    }

    void stop()
    {
        engine_->async_stop(5ms, asio::use_future).get();
        engine_.reset();
    }

    jobs client()
    {
        const std::lock_guard lock{mutex_};
        return *client_;
    }

    std::vector<std::string> errors()
    {
        const std::lock_guard lock{mutex_};
        return errors_;
    }

    const std::shared_ptr<pawl::record_store> store = pawl::open_memory({.shards = 4});

private:
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::optional<jobs> client_;
    std::vector<std::string> errors_;
    std::optional<pawl::engine> engine_;
};

/// Counts down from many threads; one waits.
class countdown {
public:
    explicit countdown(int from) : left_(from) {}

    void one_done()
    {
        if (left_.fetch_sub(1) == 1)
            all_done_.set_value();
    }

    void wait() { all_done_.get_future().get(); }

private:
    std::atomic<int> left_;
    std::promise<void> all_done_;
};

/// What the threads have in common.
struct scene {
    struct note {
        std::uint64_t sequence;
        int text;
    };

    machine m;
    countdown accepted{runs};
    countdown first_quarter{runs / 4};
    std::mutex mutex;
    std::map<std::string, std::vector<note>> notes; ///< that are in an inbox, by foreign id
};

/// Triggers until it is accepted, through whichever engine is there, and looks for the end.
void insist_on_trigger(scene& all, int number)
{
    auto client = all.m.client();
    client.async_trigger(std::to_string(number), job{}, {.idempotency_key = "first"},
                         [&all, number, client](pawl::error_code code, pawl::run_id run) mutable {
                             if (code)
                                 return insist_on_trigger(all, number);
                             all.accepted.one_done();
                             client.async_await_finished(
                                 run, [&all](pawl::error_code failed, const auto&) {
                                     if (!failed)
                                         all.first_quarter.one_done();
                                 });
                         });
}

/// Does things to runs at random. What it asks for may be refused; that is not looked at here.
void disturb(scene& all, int first_note)
{
    for (int i = 0; i < operations; ++i) {
        auto client = all.m.client();
        const auto id = std::to_string(draw(runs));
        const auto done = std::make_shared<std::promise<void>>();
        const auto then = [done](auto&&...) {
            done->set_value();
        };
        const auto choice = draw(100);
        if (choice < 12)
            client.async_pause(id, "at random", then);
        else if (choice < 40)
            client.async_resume(id, {}, then);
        else if (choice < 42)
            client.async_cancel(id, "at random", then);
        else if (choice < 80)
            client.async_send(id, "note", first_note + i, {},
                              [&all, id, done, text = first_note + i](
                                  pawl::error_code code, const pawl::settlement& sent) {
                                  if (!code) {
                                      const std::lock_guard lock{all.mutex};
                                      all.notes[id].push_back({sent.sequence, text});
                                  }
                                  done->set_value();
                              });
        else
            client.async_find_latest(id, then);
        done->get_future().get();
    }
}

/// Resumes what is paused and waits for every run's end.
void finish_all(machine& m)
{
    auto client = m.client();
    std::vector<std::future<pawl::snapshot<job, stage>>> ends;
    for (int i = 0; i < runs; ++i) {
        const auto found = client.async_find_latest(std::to_string(i), asio::use_future).get();
        BOOST_REQUIRE(found.has_value());
        if (found->state == pawl::run_state::paused)
            client.async_resume(found->id, {}, asio::use_future).get();
        ends.push_back(client.async_await_finished(found->id, asio::use_future));
    }
    for (auto& end : ends)
        end.get();
}

/// The history of one run: dense versions, and each status entered once, in order.
void check_history(const pawl::snapshot<job, stage>& run, const std::vector<pawl::event>& history)
{
    std::uint64_t version = 0;
    int status = static_cast<int>(stage::one);
    for (const auto& each : history) {
        BOOST_TEST(each.version == ++version);
        if (each.from != each.to) {
            BOOST_TEST(each.from == status);
            BOOST_TEST(each.to == status + 1);
            status = each.to;
        }
    }
    BOOST_TEST(version == run.version);
    BOOST_TEST(status == static_cast<int>(run.status));
    std::vector<int> steps;
    for (int i = 1; i < status; ++i)
        steps.push_back(i);
    BOOST_TEST(run.object.steps == steps, boost::test_tools::per_element());
}

pawl::message_outcome outcome_of(machine& m, pawl::run_id run, std::uint64_t sequence)
{
    asio::io_context io;
    auto outcome = asio::co_spawn(io, m.store->outcome(run, sequence), asio::use_future);
    io.run();
    const auto settled = outcome.get();
    BOOST_REQUIRE(settled.has_value());
    return settled->outcome;
}

/// A note that was handled is in the object once, and one that came too late is not.
void check_notes(scene& all, const pawl::snapshot<job, stage>& run)
{
    for (const auto& note : all.notes[run.foreign_id]) {
        const auto outcome = outcome_of(all.m, run.id, note.sequence);
        BOOST_TEST((outcome == pawl::message_outcome::handled ||
                    outcome == pawl::message_outcome::rejected));
        BOOST_TEST(std::ranges::count(run.object.notes, note.text) ==
                   (outcome == pawl::message_outcome::handled ? 1 : 0));
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(everything_at_once_and_a_restart_in_the_midst)
{
    scene all;
    auto& m = all.m;
    m.start();
    for (int i = 0; i < runs; ++i)
        insist_on_trigger(all, i);
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i)
        others.emplace_back([&all, i] { disturb(all, i * operations); });

    all.first_quarter.wait();
    m.stop();
    m.start();
    all.accepted.wait();
    for (auto& each : others)
        each.join();
    finish_all(m);

    auto client = m.client();
    for (int i = 0; i < runs; ++i) {
        const auto run = client.async_find_latest(std::to_string(i), asio::use_future).get();
        BOOST_REQUIRE(run.has_value());
        BOOST_TEST(is_finished(run->state));
        check_history(*run, client.async_history(run->id, 0, 1000, asio::use_future).get());
        check_notes(all, *run);
    }
    m.stop();
    BOOST_TEST(m.errors().empty());
}

namespace {

asio::awaitable<void> send_all(std::shared_ptr<pawl::event_streamer> streamer, std::string topic,
                               int count)
{
    for (int i = 0; i < count; ++i) {
        std::vector<pawl::stream_event> batch(1);
        co_await streamer->send(topic, std::move(batch));
    }
}

asio::awaitable<void> receive_all(std::shared_ptr<pawl::event_streamer> streamer, std::string topic,
                                  std::string consumer, int count)
{
    for (int received = 0; received < count;) {
        // A receiver of its own each time, so that what woke it up may be gone with it.
        const auto receiver = co_await streamer->subscribe(topic, consumer);
        const auto events = co_await receiver->receive(10);
        co_await receiver->ack(events.back().position);
        received = static_cast<int>(events.back().position);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(receivers_and_senders_need_no_strand)
{
    constexpr int count = 500;
    asio::thread_pool pool{4};
    const auto streamer = pawl::store_streamer(pawl::open_memory());
    std::vector<std::future<void>> ends;
    for (const auto* consumer : {"a", "b", "c"})
        ends.push_back(asio::co_spawn(pool, receive_all(streamer, "topic", consumer, 2 * count),
                                      asio::use_future));
    for (int sender = 0; sender < 2; ++sender)
        ends.push_back(asio::co_spawn(pool, send_all(streamer, "topic", count), asio::use_future));
    for (auto& each : ends)
        each.get();
    pool.join();
}

BOOST_AUTO_TEST_CASE(retention_and_connectors_start_beside_each_other)
{
    for (int start = 0; start < 10; ++start) {
        asio::thread_pool pool{4};
        const auto store = pawl::open_memory();
        pawl::engine engine{pool.get_executor(), {.store = store}};
        pawl::builder<job, stage> b{"jobs"};
        b.step<stage::one>(go_on<stage::one, stage::done>);
        b.end<stage::done>();
        b.retention({.keep = 1us});
        b.on_complete(
            [](const pawl::snapshot<job, stage>&) -> asio::awaitable<void> { co_return; });
        const auto client = engine.add(std::move(b).build());
        for (const auto* name : {"a", "b", "c"})
            engine.connect(
                name, engine.events("jobs"), client,
                [](pawl::event_context<job, stage>&) -> asio::awaitable<void> { co_return; });
        engine.async_start(asio::use_future).get();
        engine.async_stop(1s, asio::use_future).get();
        pool.join();
    }
}

BOOST_AUTO_TEST_SUITE_END()
