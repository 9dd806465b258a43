// pawl::schema: versions and upgrades of stored values, strict reading, members that must be there.
#include "codec/support.hpp"
#include "printing.hpp"

#include <map>
#include <optional>
#include <vector>

using namespace codec_test;

namespace {

struct price {
    int amount = 0;
    std::optional<std::string> currency;
};
BOOST_DESCRIBE_STRUCT(price, (), (amount, currency))

struct priced_item {
    std::string name;
    price cost;
};
BOOST_DESCRIBE_STRUCT(priced_item, (), (name, cost))

/// Tolerant wherever it stands.
struct hint {
    int weight = 3;
};
BOOST_DESCRIBE_STRUCT(hint, (), (weight))

struct hinted {
    hint of;
    int number = 0;
};
BOOST_DESCRIBE_STRUCT(hinted, (), (of, number))

/// Its amount must be there.
struct payment {
    int amount = 0;
    int fee = 1;
};
BOOST_DESCRIBE_STRUCT(payment, (), (amount, fee))

/// In its third version.
struct address {
    std::string town;
    std::string street;
};
BOOST_DESCRIBE_STRUCT(address, (), (town, street))

} // namespace

template <>
struct pawl::schema<hint> : pawl::schema_defaults {
    static constexpr std::optional<pawl::json_reading> reading = pawl::json_reading::tolerant;
};

template <>
struct pawl::schema<payment> : pawl::schema_defaults {
    static constexpr std::array<std::string_view, 1> required{"amount"};
};

template <>
struct pawl::schema<address> : pawl::schema_defaults {
    static constexpr std::uint32_t version = 3;
    static void upgrade(std::uint32_t from, boost::json::value& document)
    {
        auto& object = document.as_object();
        const auto rename = [&](const char* before, const char* now) {
            boost::json::value moved = object.at(before); // an insertion may move the others
            object[now] = std::move(moved);
            object.erase(before);
        };
        if (from == 1)
            rename("city", "town");
        else
            rename("road", "street");
    }
};

BOOST_AUTO_TEST_SUITE(codec_schemas)

namespace {

/// The error's path and text; "read" when there is none.
template <class T>
std::string strict_failure(std::string_view text)
{
    try {
        (void)pawl::codec<T>::decode(text, pawl::json_reading::strict);
    } catch (const pawl::decode_error& failure) {
        return failure.detail();
    }
    return "read";
}

template <class T>
pawl::errc stored_failure(std::string_view text, std::uint32_t version, std::string& detail)
{
    try {
        (void)pawl::detail::decode_stored<T>(text, version, "the payload");
    } catch (const pawl::error& failure) {
        detail = failure.detail();
        return static_cast<pawl::errc>(failure.code().value());
    }
    return {};
}

} // namespace

BOOST_AUTO_TEST_CASE(strict_reading_refuses_what_is_missing_or_unknown_with_its_path)
{
    BOOST_TEST(strict_failure<priced_item>(R"({"name":"a","cost":{"amount":1}})") == "read");
    BOOST_TEST(strict_failure<priced_item>(R"({"name":"a","cost":{}})") ==
               "cost.amount: it is missing");
    BOOST_TEST(strict_failure<priced_item>(R"({"cost":{"amount":1}})") == "name: it is missing");
    BOOST_TEST(strict_failure<priced_item>(R"({"name":"a","cost":{"amount":1,"amounts":2}})") ==
               "cost.amounts: there is no such member");
    BOOST_TEST(strict_failure<std::vector<price>>(R"([{"amount":1},{"amuont":1}])") ==
               "[1].amount: it is missing");
    using by_name = std::map<std::string, price>;
    BOOST_TEST(strict_failure<by_name>(R"({"a":{"amount":1,"b":2}})") ==
               "a.b: there is no such member");
    BOOST_TEST(strict_failure<std::optional<price>>("null") == "read");
}

BOOST_AUTO_TEST_CASE(tolerant_reading_keeps_defaults_and_notes_the_first_that_it_ignores)
{
    std::string ignored;
    const auto read = pawl::codec<priced_item>::decode(
        R"({"cost":{"amount":4,"tax":1},"colour":"red"})", pawl::json_reading::tolerant, &ignored);
    BOOST_TEST(read.cost.amount == 4);
    BOOST_TEST(ignored == "cost.tax");
    ignored.clear();
    (void)pawl::codec<priced_item>::decode(R"({"name":"a"})", pawl::json_reading::tolerant,
                                           &ignored);
    BOOST_TEST(ignored == "");
    BOOST_TEST(pawl::codec<priced_item>::decode(R"({"x":1})").name == "");
}

BOOST_AUTO_TEST_CASE(a_type_chooses_how_it_is_read_wherever_it_stands)
{
    BOOST_TEST(strict_failure<hinted>(R"({"of":{"more":1},"number":1})") == "read");
    BOOST_TEST(strict_failure<hinted>(R"({"of":{},"number":1,"more":1})") ==
               "more: there is no such member");
}

BOOST_AUTO_TEST_CASE(a_required_member_must_be_there_however_it_is_read)
{
    BOOST_TEST(pawl::codec<payment>::decode(R"({"amount":2})").fee == 1);
    BOOST_CHECK_EXCEPTION(
        (void)pawl::codec<payment>::decode(R"({"fee":2})"), pawl::decode_error,
        [](const pawl::decode_error& e) { return e.detail() == "amount: it is missing"; });
}

BOOST_AUTO_TEST_CASE(a_stored_value_is_upgraded_from_its_version_to_the_present_one)
{
    const auto read = [](std::string_view text, std::uint32_t version) {
        const auto found = pawl::detail::decode_stored<address>(text, version, "the payload");
        return found.town + ", " + found.street;
    };
    BOOST_TEST(read(R"({"city":"Ulm","road":"Main"})", 1) == "Ulm, Main");
    BOOST_TEST(read(R"({"town":"Ulm","road":"Main"})", 2) == "Ulm, Main");
    BOOST_TEST(read(R"({"town":"Ulm","street":"Main"})", 3) == "Ulm, Main");
    std::string detail;
    BOOST_TEST(stored_failure<address>("{}", 4, detail) == pawl::errc::program_too_old);
    BOOST_TEST(contains(detail, "the payload is of schema version 4"));
    BOOST_TEST(contains(detail, "versions 1 to 3"));
    BOOST_TEST(stored_failure<address>("{}", 2, detail) == pawl::errc::decode_failed);
    BOOST_TEST(contains(detail, "upgrade from schema version 2"));
    BOOST_TEST(stored_failure<price>("{}", 2, detail) == pawl::errc::program_too_old);
    BOOST_TEST(contains(detail, "version 1 only"));
}

BOOST_AUTO_TEST_CASE(an_upgrade_leaves_the_numbers_that_it_does_not_touch_as_they_are)
{
    // Boost's own parser reads some of these off by one unit in the last place.
    const std::string text = R"({"a":0.1,"b":7.2057594037927933e16,"c":1.7976931348623157e308})";
    const auto before = pawl::codec<boost::json::value>::decode(text);
    const auto edited = pawl::detail::edited_document(text, [](boost::json::value&) {});
    const auto after = pawl::codec<boost::json::value>::decode(edited);
    for (const auto& [name, number] : before.as_object())
        BOOST_TEST(after.at(name).to_number<double>() == number.to_number<double>(), name);
}

BOOST_AUTO_TEST_SUITE_END()
