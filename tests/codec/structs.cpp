// Described structs and enums, containers and optionals: their form, and a reader that tolerates
// older and newer documents but no wrong types.
#include "codec/support.hpp"

#include <boost/describe.hpp>

#include <array>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

using namespace codec_test;

namespace {

enum class colour { red = 1, green = 5 };
BOOST_DESCRIBE_ENUM(colour, red, green)

enum class plain : std::uint8_t { one = 1 };

struct item {
    std::string product;
    double price = 0;
    friend bool operator==(const item&, const item&) = default;
};
BOOST_DESCRIBE_STRUCT(item, (), (product, price))

struct base {
    std::string id;
    friend bool operator==(const base&, const base&) = default;
};
BOOST_DESCRIBE_STRUCT(base, (), (id))

struct order : base {
    int quantity = 7;
    colour paint = colour::green;
    std::vector<item> items;
    std::optional<std::string> note{"default"};
    std::map<std::string, item> extras;
    int secret = 0; // not described: not stored
    friend bool operator==(const order&, const order&) = default;
};
BOOST_DESCRIBE_STRUCT(order, (base), (quantity, paint, items, note, extras))

class sealed {
public:
    sealed() = default;
    explicit sealed(int number) : number_(number) {}
    int number() const { return number_; }

private:
    int number_ = 0;
    BOOST_DESCRIBE_CLASS(sealed, (), (), (), (number_))
};

struct empty {};
BOOST_DESCRIBE_STRUCT(empty, (), ())

struct tree {
    std::vector<tree> children;
};
BOOST_DESCRIBE_STRUCT(tree, (), (children))

struct cents {
    std::int64_t value = 0;
};

} // namespace

template <>
struct pawl::json_codec<cents> {
    static void write(const cents& from, std::string& out)
    {
        if (from.value < 0)
            throw encode_error{"a negative amount"};
        json_codec<double>::write(static_cast<double>(from.value) / 100, out);
    }
    static void read(const boost::json::value& from, cents& to, const json_path& at)
    {
        double amount = 0;
        json_codec<double>::read(from, amount, at);
        if (amount < 0)
            throw decode_error{at, "a negative amount"};
        to.value = static_cast<std::int64_t>(amount * 100 + 0.5);
    }
};

BOOST_AUTO_TEST_SUITE(codec_structs)

namespace {

struct bill {
    std::vector<std::map<std::string, cents>> lines;
};
BOOST_DESCRIBE_STRUCT(bill, (), (lines))

} // namespace

BOOST_AUTO_TEST_CASE(a_struct_is_an_object_with_the_members_of_its_bases_first)
{
    order made;
    made.id = "o-1";
    made.items = {{"pen", 1.5}};
    made.extras["gift"] = {"bow", 2};
    BOOST_TEST(encode(made) == R"({"id":"o-1","quantity":7,"paint":"green",)"
                               R"("items":[{"product":"pen","price":1.5}],"note":"default",)"
                               R"("extras":{"gift":{"product":"bow","price":2}}})");
    BOOST_TEST((round_trip(made) == made));
    BOOST_TEST(encode(empty{}) == "{}");
    BOOST_TEST(round_trip(sealed{42}).number() == 42);
}

BOOST_AUTO_TEST_CASE(what_is_not_described_is_not_stored)
{
    order made;
    made.secret = 5;
    BOOST_TEST(round_trip(made).secret == 0);
}

BOOST_AUTO_TEST_CASE(an_empty_optional_is_left_out_and_comes_back_empty)
{
    order made;
    made.note.reset();
    BOOST_TEST(!contains(encode(made), "note"));
    BOOST_TEST(!round_trip(made).note.has_value());
    BOOST_TEST(!decode<order>(R"({"note":null})").note.has_value());
    BOOST_TEST(encode(std::vector<std::optional<int>>{1, {}}) == "[1,null]");
    BOOST_TEST(!decode<std::optional<int>>("null").has_value());
    BOOST_TEST((decode<std::optional<int>>("3") == 3));
}

BOOST_AUTO_TEST_CASE(missing_members_keep_their_defaults_and_unknown_ones_are_ignored)
{
    const auto read = decode<order>(R"({"unknown":{"deep":[1,2]},"id":"x"})");
    BOOST_TEST(read.id == "x");
    BOOST_TEST(read.quantity == 7);
    BOOST_TEST((read.paint == colour::green));
}

BOOST_AUTO_TEST_CASE(of_two_equal_names_the_last_counts)
{
    BOOST_TEST(decode<order>(R"({"quantity":1,"id":"x","quantity":2})").quantity == 2);
    // Objects with many members are looked up in another way.
    std::string many = "{\"quantity\":1";
    for (int i = 0; i < 40; ++i)
        many += ",\"m" + std::to_string(i) + "\":0";
    BOOST_TEST(decode<order>(many + ",\"quantity\":2}").quantity == 2);
}

BOOST_AUTO_TEST_CASE(a_wrong_type_fails_with_its_path)
{
    BOOST_TEST(
        contains(decode_failure<order>(R"({"items":[{},{},{"price":"x"}]})", "items[2].price"),
                 "items[2].price: expected a number, found a string"));
    BOOST_TEST(contains(decode_failure<order>(R"({"items":{}})", "items"),
                        "items: expected an array, found an object"));
    BOOST_TEST(contains(decode_failure<order>(R"({"quantity":null})", "quantity"), "found null"));
    BOOST_TEST(contains(
        decode_failure<order>(R"({"extras":{"a b":{"price":[]}}})", R"(extras["a b"].price)"),
        "found an array"));
    BOOST_TEST(contains(decode_failure<order>("[]", ""), "expected an object, found an array"));
}

BOOST_AUTO_TEST_CASE(a_value_that_cannot_be_written_fails_with_its_path)
{
    order made;
    made.items = {{"pen", 1}, {"ink", std::numeric_limits<double>::infinity()}};
    BOOST_TEST(contains(encode_failure(made, "items[1].price"), "items[1].price: JSON has no"));
    made.items = {{"\xff", 1}};
    BOOST_TEST(contains(encode_failure(made, "items[0].product"), "UTF-8"));
    made.items.clear();
    made.extras["a b"].price = std::numeric_limits<double>::quiet_NaN();
    BOOST_TEST(contains(encode_failure(made, R"(extras["a b"].price)"), "not-a-number"));
    // The same object can be written once it has been mended.
    made.extras.clear();
    BOOST_TEST((round_trip(made) == made));
}

BOOST_AUTO_TEST_CASE(described_enums_are_names_and_others_numbers)
{
    BOOST_TEST(encode(colour::red) == "\"red\"");
    BOOST_TEST((decode<colour>("\"green\"") == colour::green));
    BOOST_TEST(contains(decode_failure<colour>("\"blue\"", ""), "one of red, green, found \"blue"));
    BOOST_TEST(contains(decode_failure<colour>("1", ""), "expected a string"));
    BOOST_TEST(contains(encode_failure(static_cast<colour>(3), ""), "value 3 has no name"));
    BOOST_TEST(encode(static_cast<plain>(200)) == "200");
    BOOST_TEST((decode<plain>("1") == plain::one));
    BOOST_TEST(contains(decode_failure<plain>("256", ""), "from 0 to 255"));
}

BOOST_AUTO_TEST_CASE(containers)
{
    BOOST_TEST(encode(std::vector<bool>{true, false}) == "[true,false]");
    BOOST_TEST((round_trip(std::vector<bool>{true, false}) == std::vector<bool>{true, false}));
    BOOST_TEST(encode(std::vector<int>{}) == "[]");
    using triple = std::array<int, 3>;
    BOOST_TEST((round_trip(triple{1, 2, 3}) == triple{1, 2, 3}));
    BOOST_TEST(contains(decode_failure<triple>("[1,2]", ""), "array of 3, found one of 2"));
    using table = std::unordered_map<std::string, std::vector<int>>;
    BOOST_TEST((round_trip(table{{"a", {1}}, {"", {}}}) == table{{"a", {1}}, {"", {}}}));
    BOOST_TEST(contains(decode_failure<table>(R"({"a":[1,true]})", "a[1]"), "found true"));
    BOOST_TEST(contains(decode_failure<std::vector<int>>("null", ""), "an array, found null"));
}

BOOST_AUTO_TEST_CASE(a_type_of_the_users_own_stands_anywhere)
{
    BOOST_TEST(encode(bill{{{{"pen", {150}}}}}) == R"({"lines":[{"pen":1.5}]})");
    BOOST_TEST(decode<bill>(R"({"lines":[{"pen":0.29}]})").lines[0]["pen"].value == 29);
    BOOST_TEST(contains(encode_failure(bill{{{}, {{"pen", {-1}}}}}, "lines[1].pen"), "negative"));
    BOOST_TEST(contains(decode_failure<bill>(R"({"lines":[{"pen":-1}]})", "lines[0].pen"),
                        "lines[0].pen: a negative amount"));
}

BOOST_AUTO_TEST_CASE(what_may_be_written_may_be_read_also_by_its_depth)
{
    // A tree of n levels is n objects and n lists deep.
    tree grown;
    for (int level = 1; level < 16; ++level) {
        tree above;
        above.children.push_back(std::move(grown));
        grown = std::move(above);
    }
    BOOST_TEST(round_trip(grown).children.size() == 1u);
    tree above;
    above.children.push_back(std::move(grown));
    BOOST_TEST(contains(encode_failure(above, std::string("children[0].children[0].children[0]."
                                                          "children[0].children[0].children[0]."
                                                          "children[0].children[0].children[0]."
                                                          "children[0].children[0].children[0]."
                                                          "children[0].children[0].children[0]."
                                                          "children[0]")),
                        "deeper than 32"));
    BOOST_TEST(round_trip(above.children[0]).children.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
