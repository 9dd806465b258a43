// Limits of the system, as a program meets them: the size of files, the number of descriptors. Each
// is told as what it is, loses nothing, and is over when it is over.
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "sqlite/support.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <memory>

BOOST_AUTO_TEST_SUITE(sqlite_system_limits)

namespace {

using pawl::errc;

/// A limit of this process while it lives.
class limited {
public:
    limited(__rlimit_resource what, rlim_t to) : what_(what)
    {
        ::getrlimit(what_, &before_);
        auto low = before_;
        low.rlim_cur = to;
        ::setrlimit(what_, &low);
    }
    ~limited() { ::setrlimit(what_, &before_); }
    limited(const limited&) = delete;
    limited& operator=(const limited&) = delete;

private:
    __rlimit_resource what_;
    rlimit before_{};
};

/// No descriptor is free while it lives.
std::unique_ptr<limited> no_descriptors()
{
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    return std::make_unique<limited>(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free));
}

/// The signal that comes with a write past the limit ends a program that does not ignore it.
class ignored_signal {
public:
    ignored_signal() : before_(::signal(SIGXFSZ, SIG_IGN)) {}
    ~ignored_signal() { ::signal(SIGXFSZ, before_); }
    ignored_signal(const ignored_signal&) = delete;
    ignored_signal& operator=(const ignored_signal&) = delete;

private:
    void (*before_)(int);
};

} // namespace

BOOST_AUTO_TEST_CASE(files_that_may_not_grow_are_full_until_they_may)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const ignored_signal ignored;
    auto run = make_run(1, "growing");
    run.object = std::string(50'000, 'x');
    std::uint64_t accepted = 0;
    {
        const auto store = pawl::open_sqlite(path);
        {
            const limited size{RLIMIT_FSIZE, 1 << 20};
            const auto grow = [&] {
                for (;; ++run.version) {
                    apply_one(*store, store_as(run));
                    accepted = run.version;
                }
            };
            BOOST_CHECK_EXCEPTION(grow(), pawl::error, fails_with(errc::store_full, {path}));
            BOOST_TEST(accepted > 5u);
            BOOST_TEST(finish(store->find(run.id))->version == accepted);
            BOOST_CHECK_EXCEPTION(apply_one(*store, store_as(run)), pawl::error,
                                  fails_with(errc::store_full, {path}));
        }
        BOOST_TEST(apply_one(*store, store_as(run)).sequence == accepted + 1);
    }
    const auto store = pawl::open_sqlite(path);
    BOOST_TEST((finish(store->find(run.id)) == run));
    BOOST_TEST(finish(store->history(run.id, 0, 1000)).size() == run.version);
}

BOOST_AUTO_TEST_CASE(without_a_free_descriptor_an_open_store_goes_on_and_another_says_why_not)
{
    const temporary_folder folder;
    const auto path = folder.file("a.db");
    const auto store = pawl::open_sqlite(path);
    auto run = make_run(1, "order-1");
    BOOST_TEST(apply_one(*store, store_as(run)).sequence == 1u);
    {
        // The calls need a context each, which needs descriptors.
        boost::asio::io_context context;
        const auto other = folder.file("b.db");
        run.version = 2;
        const std::vector<pawl::change> batch{store_as(run)};
        auto result = boost::asio::co_spawn(context, store->apply(batch), boost::asio::use_future);
        const auto none = no_descriptors();
        context.run();
        BOOST_TEST(result.get().front().sequence == 2u);
        BOOST_CHECK_EXCEPTION(pawl::open_sqlite(other), pawl::error,
                              fails_with(errc::store_unavailable, {other, "Too many open files"}));
    }
    BOOST_CHECK_NO_THROW(pawl::open_sqlite(folder.file("b.db")));
    BOOST_TEST((finish(store->find(run.id)) == run));
}

BOOST_AUTO_TEST_SUITE_END()
