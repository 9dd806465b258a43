#include "postgres/support.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>

postgres_server& server()
{
    static postgres_server only{{"max_connections=200", "deadlock_timeout=100ms"}};
    return only;
}

namespace {

boost::asio::thread_pool& threads()
{
    server(); // outlives the threads
    static boost::asio::thread_pool all{2};
    return all;
}

/// Ends the threads while OpenSSL, which keeps something for each of them, can still clear it away.
struct joined_threads {
    ~joined_threads()
    {
        threads().stop();
        threads().join();
    }
};

BOOST_TEST_GLOBAL_FIXTURE(joined_threads);

} // namespace

boost::asio::any_io_executor backend()
{
    return threads().get_executor();
}

std::string fresh_schema()
{
    static std::atomic<int> made = 0;
    return "test_" + std::to_string(++made);
}

pawl::log_sink collected_log::sink() const
{
    return [all = all_](const pawl::log_entry& entry) {
        const std::lock_guard lock{all->mutex};
        all->lines.push_back(to_string(entry));
        all->changed.notify_all();
    };
}

std::size_t collected_log::count(const std::string& words) const
{
    const std::lock_guard lock{all_->mutex};
    return static_cast<std::size_t>(std::ranges::count_if(
        all_->lines, [&](const auto& line) { return line.find(words) != line.npos; }));
}

bool collected_log::wait_for(const std::string& words) const
{
    std::unique_lock lock{all_->mutex};
    return all_->changed.wait_for(lock, std::chrono::minutes{1}, [&] {
        return std::ranges::any_of(all_->lines,
                                   [&](const auto& line) { return line.find(words) != line.npos; });
    });
}

std::shared_ptr<pawl::record_store> open_fresh(pawl::postgres_options options)
{
    options.schema = fresh_schema();
    return pawl::open_postgres(backend(), server().uri(), options);
}

session::session(const std::string& database)
    : link_(PQconnectdb(server().uri(database).c_str()), &PQfinish)
{
}

session::answer session::execute(const std::string& sql)
{
    answer given{PQexec(link_.get(), sql.c_str()), &PQclear};
    const auto status = PQresultStatus(given.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw std::runtime_error{sql + ": " + PQerrorMessage(link_.get())};
    return given;
}

std::string session::ask(const std::string& sql)
{
    const auto given = execute(sql);
    return PQntuples(given.get()) > 0 ? PQgetvalue(given.get(), 0, 0) : "";
}

std::vector<std::vector<std::string>> session::rows(const std::string& sql)
{
    const auto given = execute(sql);
    std::vector<std::vector<std::string>> all;
    for (int row = 0; row < PQntuples(given.get()); ++row) {
        auto& columns = all.emplace_back();
        for (int column = 0; column < PQnfields(given.get()); ++column)
            columns.emplace_back(PQgetvalue(given.get(), row, column));
    }
    return all;
}

void return_to_second_version(const std::string& schema)
{
    ask("SET search_path = " + schema +
        ";DROP TRIGGER set_parent ON runs; DROP FUNCTION set_parent;"
        "DROP TRIGGER count_started_child ON runs; DROP TRIGGER count_changed_child ON runs;"
        "DROP TRIGGER count_removed_child ON runs; DROP FUNCTION count_child;"
        "DROP TABLE child_counts; ALTER TABLE runs DROP COLUMN parent;"
        "DROP FUNCTION apply_with_attributes, update_attributes, write_attributes;"
        "DROP TYPE attribute_input, attribute_update_input; DROP TABLE attributes;"
        "DROP FUNCTION start, send, store_request, take_requests; DROP TABLE requests;"
        "DROP INDEX runs_troubled;"
        "UPDATE meta SET version = 2");
}

std::string ask(const std::string& sql, const std::string& database)
{
    return session{database}.ask(sql);
}
