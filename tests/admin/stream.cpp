// Server-sent events of the API: only changes, resumed by the last id, in bounded memory.
#include "support.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

BOOST_AUTO_TEST_SUITE(admin_stream)

using namespace admin_test;

namespace {

/// Takes what a stream writes, and ends it after some parts.
class recording_writer final : public http::body_writer {
public:
    asio::awaitable<void> write(std::string part) override
    {
        parts.push_back(std::move(part));
        if (on_part)
            on_part(parts.back());
        if (parts.size() >= most)
            throw boost::system::system_error(asio::error::operation_aborted);
        co_return;
    }

    std::string text() const
    {
        std::string all;
        for (const auto& part : parts)
            all += part;
        return all;
    }

    std::vector<std::string> parts;
    std::size_t most = 1'000;
    std::function<void(const std::string&)> on_part;
};

asio::awaitable<bool> play(http::response answer, recording_writer& writer)
{
    const auto stream = answer.stream;
    try {
        co_await stream(writer);
    } catch (const boost::system::system_error&) {
        co_return true;
    }
    co_return false;
}

pawl::admin::api_options fast_options()
{
    auto options = options_for(role::viewer);
    options.stream_interval = 1ms;
    return options;
}

answer open(world& w, std::map<std::string, std::string, std::less<>> query,
            const std::string& last_id = "")
{
    auto request = request_for("GET", "/");
    request.query = std::move(query);
    if (!last_id.empty())
        request.headers.emplace("last-event-id", last_id);
    return w.call(request, "/api/v1/stream");
}

std::size_t count(const std::string& text, std::string_view part)
{
    std::size_t found = 0;
    for (auto begin = text.find(part); begin != text.npos; begin = text.find(part, begin + 1))
        ++found;
    return found;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_is_sent_when_it_changes)
{
    recording_writer writer;
    world w(fast_options());
    const auto run = w.bench().trigger("a", {"Ada", 1});
    auto opened = open(w, {{"run", to_string(run)}});
    BOOST_TEST(opened.raw.content_type == "text/event-stream");
    writer.on_part = [&](const std::string& part) {
        if (part.find("event: run\n") == part.npos)
            return;
        if (part.find("\"status\":\"approved\"") != part.npos)
            writer.most = writer.parts.size();
        else
            asio::co_spawn(w.bench().context(),
                           w.bench().client().async_send(run, approve, {"Bob"}),
                           [](std::exception_ptr, auto) {});
    };
    BOOST_TEST(w.bench().wait_for(play(std::move(opened.raw), writer)));
    const auto text = writer.text();
    BOOST_TEST(text.starts_with("retry: 2000\n\n"), text);
    BOOST_TEST(count(text, "event: run\n") == 2u, text);
    BOOST_TEST(count(text, "event: history\n") == 1u, text);
    BOOST_TEST(count(text, "\"to\":\"approved\"") == 1u, text);
    BOOST_TEST(count(text, "id: 3\n") == 2u, text);
}

BOOST_AUTO_TEST_CASE(a_history_continues_after_the_last_id)
{
    recording_writer writer;
    world w(fast_options());
    const auto run = w.bench().trigger("a", {"Ada", 1});
    auto opened = open(w, {{"run", to_string(run)}}, "1");
    writer.most = 2;
    BOOST_TEST(w.bench().wait_for(play(std::move(opened.raw), writer)));
    BOOST_TEST(count(writer.text(), "event: history\n") == 1u, writer.text());
    BOOST_TEST(count(writer.text(), "\"version\":\"2\"") == 2u, writer.text());
}

BOOST_AUTO_TEST_CASE(a_reader_ahead_of_the_store_is_reset)
{
    recording_writer writer;
    world w(fast_options());
    const auto run = w.bench().trigger("a", {"Ada", 1});
    auto opened = open(w, {{"run", to_string(run)}}, "99");
    writer.most = 2;
    BOOST_TEST(w.bench().wait_for(play(std::move(opened.raw), writer)));
    BOOST_TEST(count(writer.text(), "event: reset\n") == 1u, writer.text());
    BOOST_TEST(count(writer.text(), "event: run\n") == 1u, writer.text());
}

BOOST_AUTO_TEST_CASE(an_unchanged_overview_is_sent_once_and_a_stream_ends)
{
    recording_writer writer;
    auto options = fast_options();
    options.stream_lifetime = 50ms;
    world w(std::move(options));
    w.bench().trigger("a", {"Ada", 1});
    auto opened = open(w, {{"overview", "true"}});
    BOOST_TEST(!w.bench().wait_for(play(std::move(opened.raw), writer)));
    BOOST_TEST(count(writer.text(), "event: overview\n") == 1u, writer.text());
}

BOOST_AUTO_TEST_CASE(a_missing_run_is_told)
{
    recording_writer writer;
    world w(fast_options());
    auto opened = open(w, {{"run", "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d"}});
    writer.most = 2;
    BOOST_TEST(w.bench().wait_for(play(std::move(opened.raw), writer)));
    BOOST_TEST(count(writer.text(), "event: removed\n") == 1u, writer.text());
}

/// Identifies everybody, until it is told otherwise.
class revocable_authenticator final : public pawl::admin::authenticator {
public:
    std::optional<identity> authenticate(const http::request&) override
    {
        if (is_revoked)
            return std::nullopt;
        return identity{"ada", granted, "test"};
    }

    bool is_revoked = false;
    role granted = role::viewer;
};

BOOST_AUTO_TEST_CASE(a_stream_ends_when_its_reader_is_revoked)
{
    recording_writer writer;
    auto options = fast_options();
    const auto users = std::make_shared<revocable_authenticator>();
    options.authenticator = users;
    world w(std::move(options));
    auto opened = open(w, {{"overview", "true"}});
    BOOST_TEST_REQUIRE(opened.status == 200);
    writer.on_part = [&](const std::string& part) {
        users->is_revoked = part.find("event: overview\n") != part.npos;
    };
    BOOST_TEST(!w.bench().wait_for(play(std::move(opened.raw), writer)));
    BOOST_TEST(writer.parts.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_stream_needs_a_subject)
{
    world w(fast_options());
    BOOST_TEST(open(w, {}).status == 400);
    BOOST_TEST(open(w, {{"run", "x"}}).status == 400);
    BOOST_TEST(open(w, {{"overview", "maybe"}}).status == 400);
}

BOOST_AUTO_TEST_SUITE_END()
