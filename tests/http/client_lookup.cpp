// How the client resolves the name of its host: a name server that hangs delays only the requests
// that need it, and known addresses are used meanwhile. This program's getaddrinfo() replaces the
// one of the C library.
#include "stage.hpp"

#include <boost/asio/post.hpp>

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include <dlfcn.h>
#include <netdb.h>

namespace {

/// What getaddrinfo() answers for the names that a test has scripted.
class name_server {
public:
    static constexpr int hangs = 1; // errors of getaddrinfo() are negative

    /// 0: the name is the loopback address.
    void say(const std::string& name, int answer)
    {
        const std::lock_guard lock(mutex_);
        answers_[name] = answer;
        changed_.notify_all();
    }

    /// Empty for a name that is not scripted.
    std::optional<int> ask(const std::string& name)
    {
        std::unique_lock lock(mutex_);
        if (!answers_.contains(name))
            return std::nullopt;
        asked_.insert(name);
        changed_.wait(lock, [&] { return answers_[name] != hangs; });
        return answers_[name];
    }

    bool was_asked(const std::string& name)
    {
        const std::lock_guard lock(mutex_);
        return asked_.contains(name);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, int> answers_;
    std::set<std::string> asked_;
};

name_server& names()
{
    static auto* const server = new name_server; // outlives the threads of look-ups
    return *server;
}

using look_up = int(const char*, const char*, const addrinfo*, addrinfo**);

} // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result)
{
    static auto* const original = reinterpret_cast<look_up*>(dlsym(RTLD_NEXT, "getaddrinfo"));
    const auto answer = name ? names().ask(name) : std::nullopt;
    if (answer.value_or(0) != 0)
        return *answer;
    return original(answer ? "127.0.0.1" : name, service, hints, result);
}

BOOST_AUTO_TEST_SUITE(http_client_lookup)

using namespace http_test;
namespace http = pawl::http;

namespace {

const std::string fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

asio::awaitable<void> serve_one(tcp::acceptor& acceptor)
{
    peer other(co_await acceptor.async_accept(asio::use_awaitable));
    co_await other.receive_head();
    co_await other.send(fine);
}

std::string url_of(const tcp::acceptor& acceptor, const std::string& name)
{
    return "http://" + name + ":" + std::to_string(acceptor.local_endpoint().port());
}

asio::awaitable<void> ask_while_another_hangs()
{
    const auto executor = co_await asio::this_coro::executor;
    tcp::acceptor acceptor(executor, {asio::ip::address_v4::loopback(), 0});
    http::client hanging(executor, url_of(acceptor, "hangs.test"));
    asker asks(executor, hanging);
    asio::cancellation_signal stop;
    fate stuck;
    asks.begin(stuck, {}, stop.slot());
    while (!names().was_asked("hangs.test"))
        co_await asio::post(executor, asio::use_awaitable);

    http::client client(executor, url_of(acceptor, "good.test"));
    asker others(executor, client);
    fate got;
    others.begin(got, {});
    co_await serve_one(acceptor);
    co_await others.wait_for(got);
    BOOST_TEST(got.status == 200);
    BOOST_TEST(!stuck.ended);

    stop.emit(asio::cancellation_type::terminal);
    co_await asks.wait_for(stuck);
    BOOST_TEST(stuck.aborted);
}

asio::awaitable<fate> ask_on_a_new_connection(stage& s)
{
    fate got;
    s.asks.begin(got, {});
    co_await serve_one(s.acceptor);
    co_await s.asks.wait_for(got);
    co_return got;
}

asio::awaitable<void> use_known_addresses_while_hanging()
{
    stage s(co_await asio::this_coro::executor, {.attempt_delay = 0s, .address_lifetime = 0s},
            "known.test");
    for (const int answer : {0, name_server::hangs}) {
        names().say("known.test", answer);
        const auto got = co_await ask_on_a_new_connection(s);
        BOOST_TEST(got.status == 200);
    }
}

asio::awaitable<void> use_known_addresses_after_failures()
{
    stage s(co_await asio::this_coro::executor, {.attempt_delay = 24h, .address_lifetime = 0s},
            "fails.test");
    for (const int answer : {0, EAI_AGAIN}) {
        names().say("fails.test", answer);
        const auto got = co_await ask_on_a_new_connection(s);
        BOOST_TEST(got.status == 200);
    }
    names().say("fails.test", EAI_NONAME);
    const auto got = co_await ask(s.client, {});
    BOOST_TEST((got.failure == http::failure::not_sent));
    BOOST_TEST(got.text.find("cannot connect") != std::string::npos, got.text);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_look_up_that_hangs_delays_nothing_else)
{
    names().say("hangs.test", name_server::hangs);
    names().say("good.test", 0);
    {
        asio::io_context io(1);
        run(io, ask_while_another_hangs());
        BOOST_TEST(io.stopped()); // nothing waits for the look-up
    }
    names().say("hangs.test", EAI_NONAME); // the context has ended
}

BOOST_AUTO_TEST_CASE(known_addresses_are_used_while_a_look_up_hangs)
{
    {
        asio::io_context io(1);
        run(io, use_known_addresses_while_hanging());
    }
    names().say("known.test", 0);
}

BOOST_AUTO_TEST_CASE(known_addresses_are_used_when_a_look_up_fails_for_now)
{
    asio::io_context io(1);
    run(io, use_known_addresses_after_failures());
}

BOOST_AUTO_TEST_SUITE_END()
