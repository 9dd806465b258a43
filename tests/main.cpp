#define BOOST_TEST_MODULE pawl
#include <boost/test/unit_test.hpp>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/// Asio counts the copies of an executor with a fence before the last one is destroyed, and
/// ThreadSanitizer does not know fences.
extern "C" const char* __tsan_default_suppressions()
{
    return "race:boost::asio::execution::detail::shared_target_executor";
}
#endif
#endif
