// The program `pawl` with a scripted API.
#pragma once

#include "cli/program.hpp"

#include <boost/test/unit_test.hpp>

#include <deque>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace cli_test {

namespace asio = boost::asio;
namespace http = pawl::http;

/// What an API was sent, and what it answers.
struct script {
    std::deque<pawl::cli::api_answer> answers;
    std::vector<http::client_request> requests;
    pawl::cli::endpoint where;
    bool is_closed = false;
};

class scripted_transport final : public pawl::cli::transport {
public:
    explicit scripted_transport(script& play) : play_(play) {}

    asio::awaitable<pawl::cli::api_answer> send(http::client_request request) override
    {
        play_.requests.push_back(std::move(request));
        if (play_.answers.empty())
            throw pawl::cli::unreachable("nobody listens");
        auto answer = std::move(play_.answers.front());
        play_.answers.pop_front();
        co_return answer;
    }

    asio::awaitable<void> close() override
    {
        play_.is_closed = true;
        co_return;
    }

private:
    script& play_;
};

/// What a call of the program did.
struct outcome {
    int code = 0;
    std::string out;
    std::string errors;
};

inline std::vector<std::string> words_of(const std::string& line)
{
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;)
        words.push_back(word);
    return words;
}

inline outcome run(script& play, std::vector<std::string> arguments,
                   std::map<std::string, std::string> variables = {{"PAWL_URL", "http://h/admin"}})
{
    std::ostringstream out;
    std::ostringstream errors;
    const auto variable = [&](const std::string& name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string{} : found->second;
    };
    outcome got;
    got.code = pawl::cli::run_program(std::move(arguments), variable, out, errors,
                                      [&](asio::any_io_executor, pawl::cli::endpoint where)
                                          -> std::unique_ptr<pawl::cli::transport> {
                                          play.where = std::move(where);
                                          return std::make_unique<scripted_transport>(play);
                                      });
    got.out = out.str();
    got.errors = errors.str();
    return got;
}

inline outcome run(script& play, const std::string& line)
{
    return run(play, words_of(line));
}

} // namespace cli_test
