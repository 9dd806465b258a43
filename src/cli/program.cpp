#include "cli/program.hpp"

#include "cli/exit_code.hpp"
#include "cli/render.hpp"
#include "pawl/codec.hpp"
#include "pawl/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

#include <fmt/format.h>

#include <exception>
#include <optional>

namespace pawl::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// The `next` of a page; empty on the last one.
std::string next_of(const json::value& page)
{
    json::error_code error;
    const auto* next = page.find_pointer("/next", error);
    return next != nullptr && next->is_string() ? std::string{next->as_string()} : std::string{};
}

/// The target of the next page.
std::string with_after(std::string target, const std::string& after)
{
    const auto place = target.find("after=");
    if (place != target.npos)
        target.erase(place - 1, target.find('&', place) == target.npos
                                    ? target.npos
                                    : target.find('&', place) - place + 1);
    return target + (target.find('?') == target.npos ? "?" : "&") + "after=" + after;
}

asio::awaitable<exit_code> send_pages(transport& way, const command& wanted, std::ostream& out,
                                      std::ostream& errors)
{
    auto request = wanted.request;
    style how{.format = wanted.format, .utc = wanted.utc};
    for (;;) {
        const auto got = co_await way.send(request);
        const auto code = exit_code_of(got.status);
        if (code != exit_code::done) {
            errors << render_problem(got.status, got.body);
            co_return code;
        }
        out << render(got.body, wanted.shown, how);
        json::error_code error;
        const auto document = json::parse(got.body, error);
        const auto next = error ? std::string{} : next_of(document);
        if (wanted.checks_readiness && !error && document.at("ready") == false)
            co_return exit_code::not_ready;
        if (next.empty())
            co_return exit_code::done;
        if (!wanted.all_pages) {
            if (wanted.format == output_format::table)
                errors << "pawl: there is more: --after " << next << ", or --all\n";
            co_return exit_code::done;
        }
        request.target = with_after(request.target, next);
        how.is_first = false;
    }
}

asio::awaitable<exit_code> perform(std::unique_ptr<transport> way, command wanted,
                                   std::ostream& out, std::ostream& errors)
{
    std::exception_ptr failure;
    auto code = exit_code::failed;
    try {
        code = co_await send_pages(*way, wanted, out, errors);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await way->close();
    if (failure)
        std::rethrow_exception(failure);
    co_return code;
}

exit_code print_token(const token_request& wish, std::ostream& out)
{
    std::optional<time_point> expires;
    if (!wish.expires.empty())
        expires = codec<time_point>::decode('"' + wish.expires + '"');
    const auto made = admin::make_token(wish.name, wish.granted, expires);
    out << "token  " << made.token << "\nline   " << made.line << "\n";
    return exit_code::done;
}

exit_code run_command(command wanted, std::ostream& out, std::ostream& errors,
                      const transport_factory& connect)
{
    if (wanted.new_token)
        return print_token(*wanted.new_token, out);
    asio::io_context io{1};
    std::exception_ptr failure;
    auto code = exit_code::failed;
    auto way = connect(io.get_executor(), wanted.where);
    asio::co_spawn(io, perform(std::move(way), std::move(wanted), out, errors),
                   [&](std::exception_ptr thrown, exit_code result) {
                       failure = thrown;
                       code = result;
                   });
    io.run();
    if (failure)
        std::rethrow_exception(failure);
    return code;
}

} // namespace

int run_program(std::vector<std::string> arguments, const environment& variables, std::ostream& out,
                std::ostream& errors, const transport_factory& connect)
{
    auto parsed = parse_command(std::move(arguments), variables);
    if (!parsed.wanted) {
        (parsed.exit_code == 0 ? out : errors) << parsed.text;
        return parsed.exit_code;
    }
    auto code = exit_code::failed;
    try {
        code = run_command(std::move(*parsed.wanted), out, errors, connect);
    } catch (const unreachable& failure) {
        errors << "pawl: " << failure.what() << "\n";
        code = exit_code::not_ready;
    } catch (const definition_error& failure) {
        errors << "pawl: " << failure.what() << "\n";
        code = exit_code::usage;
    } catch (const std::exception& failure) {
        errors << "pawl: " << failure.what() << "\n";
    }
    return static_cast<int>(code);
}

} // namespace pawl::cli
