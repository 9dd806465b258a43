#include "http/host_lookup.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace pawl::http::detail {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t max_lookups = 64;

/// The look-ups of a context. Threads that still run when the context ends share it.
class pending_lookups {
public:
    struct lookup {
        asio::any_io_executor strand;
        std::function<void(host_addresses)> done;
    };

    /// Returns the number of the look-up; empty if there are too many.
    std::optional<std::uint64_t> add(lookup added)
    {
        const std::lock_guard lock{mutex_};
        if (lookups_.size() >= max_lookups)
            return std::nullopt;
        lookups_.emplace(++last_, std::move(added));
        return last_;
    }

    /// Posts the result. The mutex is held meanwhile, so that the context cannot end.
    void finish(std::uint64_t number, host_addresses found)
    {
        const std::lock_guard lock{mutex_};
        const auto at = lookups_.find(number);
        if (at == lookups_.end())
            return;
        asio::post(at->second.strand,
                   [done = std::move(at->second.done), found = std::move(found)] { done(found); });
        lookups_.erase(at);
    }

    /// Forgets the look-ups: a strand must not outlive its context.
    void close()
    {
        std::map<std::uint64_t, lookup> forgotten;
        const std::lock_guard lock{mutex_};
        forgotten.swap(lookups_);
    }

private:
    std::mutex mutex_;
    std::map<std::uint64_t, lookup> lookups_;
    std::uint64_t last_ = 0;
};

class lookup_service final : public asio::execution_context::service {
public:
    static asio::execution_context::id id;

    explicit lookup_service(asio::execution_context& owner) : service(owner) {}

    const std::shared_ptr<pending_lookups> pending = std::make_shared<pending_lookups>();

private:
    void shutdown() override { pending->close(); }
};

asio::execution_context::id lookup_service::id;

host_addresses resolve(const std::string& host, std::uint16_t port)
{
    asio::io_context context;
    tcp::resolver resolver{context};
    host_addresses found;
    const auto entries =
        resolver.resolve(host, std::to_string(port), tcp::resolver::numeric_service, found.error);
    for (const auto& entry : entries)
        found.endpoints.push_back(entry.endpoint());
    return found;
}

} // namespace

void look_up_host(const asio::any_io_executor& strand, const std::string& host, std::uint16_t port,
                  std::function<void(host_addresses)> done)
{
    auto& context = asio::query(strand, asio::execution::context);
    const auto pending = asio::use_service<lookup_service>(context).pending;
    const auto number = pending->add({strand, done});
    if (!number) {
        asio::post(strand,
                   [done = std::move(done)] { done({asio::error::host_not_found_try_again, {}}); });
        return;
    }
    try {
        std::thread{[=] {
            pending->finish(*number, resolve(host, port));
        }}.detach();
    } catch (const std::system_error&) {
        pending->finish(*number, {asio::error::host_not_found_try_again, {}});
    }
}

} // namespace pawl::http::detail
