#include "services/books.hpp"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <utility>

namespace order_processing::services {

namespace {

// Stored: never change. The first marks the file as a ledger ("PawL"), the second its format.
constexpr std::int64_t application_id = 0x5061774c;
constexpr std::int64_t format_version = 1;

constexpr char schema[] = R"(
CREATE TABLE instance(name TEXT NOT NULL);
CREATE TABLE answers(
    service TEXT NOT NULL, key TEXT NOT NULL, target TEXT NOT NULL, body_hash INTEGER NOT NULL,
    status INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(service, key)) WITHOUT ROWID;
CREATE TABLE entries(
    sequence INTEGER PRIMARY KEY, service TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
    order_id TEXT NOT NULL, id TEXT NOT NULL, amount INTEGER, payment_method TEXT, items TEXT,
    at INTEGER NOT NULL);
CREATE INDEX entries_of_order ON entries(order_id);
CREATE TABLE payments(
    id TEXT PRIMARY KEY, key TEXT NOT NULL, order_id TEXT NOT NULL, method TEXT NOT NULL,
    status TEXT NOT NULL, amount INTEGER NOT NULL, captured INTEGER NOT NULL,
    refunded INTEGER NOT NULL, polls_left INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE reservations(
    id TEXT PRIMARY KEY, order_id TEXT NOT NULL, items TEXT NOT NULL,
    status TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE stock(product_id TEXT PRIMARY KEY, quantity INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO stock VALUES('out_of_stock', 0);
CREATE TABLE shipments(
    order_id TEXT PRIMARY KEY, tracking_number TEXT NOT NULL,
    reservation_id TEXT NOT NULL) WITHOUT ROWID;
)";

void create(database& on)
{
    on.run(schema);
    statement insert{on, "INSERT INTO instance VALUES(?)"};
    execute(insert, fmt::format("{:08x}", std::random_device{}()));
    on.run(fmt::format("PRAGMA application_id = {}", application_id).c_str());
    on.run(fmt::format("PRAGMA user_version = {}", format_version).c_str());
}

database& prepared(database& on)
{
    on.run("BEGIN IMMEDIATE");
    if (on.number("SELECT count(*) FROM sqlite_schema") == 0)
        create(on);
    else if (on.number("PRAGMA application_id") != application_id)
        on.refuse("belongs to something else");
    else if (on.number("PRAGMA user_version") > format_version)
        on.refuse("was written by a newer version");
    on.run("COMMIT");
    return on;
}

std::optional<std::int64_t> cents(const std::optional<money>& amount)
{
    return amount ? std::optional{amount->minor()} : std::nullopt;
}

std::int64_t now()
{
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

} // namespace

books::books(database& on)
    : database_(prepared(on)),
      find_answer_(on, "SELECT target, body_hash, status, body FROM answers "
                       "WHERE service = ? AND key = ?"),
      keep_answer_(on, "INSERT INTO answers VALUES(?, ?, ?, ?, ?, ?)"),
      add_entry_(on, "INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      entries_(on, "SELECT * FROM entries WHERE service = ? AND sequence > ? "
                   "ORDER BY sequence LIMIT ?"),
      entries_of_order_(on, "SELECT * FROM entries WHERE service = ? AND sequence > ? "
                            "AND order_id = ? ORDER BY sequence LIMIT ?"),
      find_payment_(on, "SELECT * FROM payments WHERE id = ?"),
      add_payment_(on, "INSERT INTO payments VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      update_payment_(on, "UPDATE payments SET status = ?, captured = ?, refunded = ?, "
                          "polls_left = ? WHERE id = ?"),
      find_reservation_(on, "SELECT * FROM reservations WHERE id = ?"),
      add_reservation_(on, "INSERT INTO reservations VALUES(?, ?, ?, ?)"),
      set_reservation_status_(on, "UPDATE reservations SET status = ? WHERE id = ?"),
      find_stock_(on, "SELECT quantity FROM stock WHERE product_id = ?"),
      set_stock_(on, "INSERT OR REPLACE INTO stock VALUES(?, ?)"),
      find_shipment_(on, "SELECT tracking_number, reservation_id FROM shipments "
                         "WHERE order_id = ?"),
      add_shipment_(on, "INSERT INTO shipments VALUES(?, ?, ?)")
{
    statement instance{on, "SELECT name FROM instance"};
    query row{instance};
    if (row.next())
        instance_ = row.text(0);
    reload();
}

void books::reload()
{
    last_sequence_ = database_.number("SELECT max(sequence) FROM entries");
}

std::optional<kept_answer> books::find_answer(std::string_view service, std::string_view key)
{
    query row{find_answer_, service, key};
    if (!row.next())
        return {};
    return kept_answer{.target = row.text(0),
                       .body_hash = static_cast<std::uint64_t>(row.number(1)),
                       .status = static_cast<int>(row.number(2)),
                       .body = row.text(3)};
}

void books::keep_answer(std::string_view service, std::string_view key, const kept_answer& answer)
{
    execute(keep_answer_, service, key, answer.target, answer.body_hash, answer.status,
            answer.body);
}

std::string books::new_id(std::string_view prefix) const
{
    return fmt::format("{}_{}_{}", prefix, instance_, last_sequence_ + 1);
}

void books::add_entry(entry added)
{
    execute(add_entry_, last_sequence_ + 1, added.service, added.kind, added.key, added.order_id,
            added.id, cents(added.amount), added.payment_method, added.items, now());
    ++last_sequence_;
}

std::vector<entry> books::entries(std::string_view service, std::string_view order_id,
                                  std::int64_t after, std::size_t limit)
{
    std::vector<entry> found;
    const auto read = [&](query&& row) {
        while (row.next()) {
            entry& read = found.emplace_back();
            read.sequence = row.number(0);
            read.service = row.text(1);
            read.kind = row.text(2);
            read.key = row.text(3);
            read.order_id = row.text(4);
            read.id = row.text(5);
            if (!row.is_null(6))
                read.amount = money::from_minor(row.number(6));
            if (!row.is_null(7))
                read.payment_method = row.text(7);
            if (!row.is_null(8))
                read.items = row.text(8);
            read.recorded_at = row.number(9);
        }
    };
    if (order_id.empty())
        read(query{entries_, service, after, limit});
    else
        read(query{entries_of_order_, service, after, order_id, limit});
    return found;
}

std::optional<payment> books::find_payment(std::string_view id)
{
    query row{find_payment_, id};
    if (!row.next())
        return {};
    return payment{.id = row.text(0),
                   .key = row.text(1),
                   .order_id = row.text(2),
                   .method = row.text(3),
                   .status = row.text(4),
                   .amount = money::from_minor(row.number(5)),
                   .captured = money::from_minor(row.number(6)),
                   .refunded = money::from_minor(row.number(7)),
                   .polls_left = row.number(8)};
}

void books::add_payment(const payment& added)
{
    execute(add_payment_, added.id, added.key, added.order_id, added.method, added.status,
            added.amount.minor(), added.captured.minor(), added.refunded.minor(), added.polls_left);
}

void books::update_payment(const payment& changed)
{
    execute(update_payment_, changed.status, changed.captured.minor(), changed.refunded.minor(),
            changed.polls_left, changed.id);
}

std::optional<reservation> books::find_reservation(std::string_view id)
{
    query row{find_reservation_, id};
    if (!row.next())
        return {};
    return reservation{
        .id = row.text(0), .order_id = row.text(1), .items = row.text(2), .status = row.text(3)};
}

void books::add_reservation(const reservation& added)
{
    execute(add_reservation_, added.id, added.order_id, added.items, added.status);
}

void books::set_reservation_status(std::string_view id, std::string_view status)
{
    execute(set_reservation_status_, status, id);
}

std::optional<std::int64_t> books::stock(std::string_view product_id)
{
    query row{find_stock_, product_id};
    return row.next() ? std::optional{row.number(0)} : std::nullopt;
}

void books::set_stock(std::string_view product_id, std::int64_t quantity)
{
    execute(set_stock_, product_id, quantity);
}

std::optional<shipped_order> books::find_shipment(std::string_view order_id)
{
    query row{find_shipment_, order_id};
    if (!row.next())
        return {};
    return shipped_order{.tracking_number = row.text(0), .reservation_id = row.text(1)};
}

void books::add_shipment(std::string_view order_id, std::string_view tracking_number,
                         std::string_view reservation_id)
{
    execute(add_shipment_, order_id, tracking_number, reservation_id);
}

} // namespace order_processing::services
