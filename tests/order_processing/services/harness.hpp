#pragma once

#include "pawl/http/server.hpp"
#include "services/ledger.hpp"
#include "services/routes.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/value.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing::testing {

/// An answer with its body read.
struct reply {
    int status = 0;
    std::string text;
    boost::json::value body;
    std::string content_type;
    bool replayed = false;

    std::string string(std::string_view member) const; ///< "" when it is not there
    double number(std::string_view member) const;      ///< NaN when it is not there
    bool detail_has(std::string_view words) const;
};

using make_routes = std::vector<pawl::http::route>(const std::shared_ptr<services::service>&);

/// One service, called without a network.
class called_service {
public:
    called_service(std::string name, make_routes& routes, std::shared_ptr<services::ledger> books);

    /// @param target Path and query. @param key No header when it is empty.
    reply call(const std::string& method, const std::string& target, const std::string& body = {},
               const std::string& key = {});

    /// `count` equal requests at the same time, served by several threads.
    std::vector<reply> call_at_once(int count, const std::string& method, const std::string& target,
                                    const std::string& body, const std::string& key);

    /// The entries of the ledger.
    std::vector<boost::json::object> entries(const std::string& query = {});

    /// "charge refund", the kinds of the entries in their order.
    std::string kinds();

    std::string content_type = "application/json"; ///< of requests that have a body

private:
    std::vector<pawl::http::route> routes_;
    boost::asio::io_context context_;
};

/// The three services over one ledger.
struct called_services {
    explicit called_services(const std::string& file = ":memory:");

    std::shared_ptr<services::ledger> books;
    called_service payment;
    called_service inventory;
    called_service shipping;
};

/// A directory of its own, removed at the end.
class temporary_directory {
public:
    temporary_directory();
    ~temporary_directory();
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;

    std::string file(std::string_view name) const;

private:
    std::filesystem::path path_;
};

} // namespace order_processing::testing
