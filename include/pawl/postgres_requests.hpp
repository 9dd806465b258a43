#pragma once

#include "pawl/callback.hpp"
#include "pawl/codec.hpp"
#include "pawl/detail/send_call.hpp"
#include "pawl/schema.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

struct pg_conn; // libpq's PGconn

namespace pawl {

/// Options of postgres_start() and postgres_send().
struct postgres_request_options {
    /// The schema of Pawl's tables, see postgres_options::schema. Default "pawl".
    std::string schema = "pawl";

    /// Identifies the request: a further one with the same key for the same foreign id (for
    /// postgres_send(): and the same callback) has no effect. At most 1,024 bytes; must not begin
    /// with "pawl.". Default: empty, no key.
    std::string idempotency_key{};
};

namespace detail {

/// A request before it is stored.
struct sql_request {
    std::string workflow;
    std::string foreign_id;
    std::string callback; ///< empty: a start
    std::string payload;
    std::uint32_t version = 1;
};

/// Throws pawl::error.
void store_request(pg_conn* connection, const sql_request& request,
                   const postgres_request_options& options);

} // namespace detail

/// Starts a run if and only if the transaction of `connection` commits: calls the SQL function
/// `pawl.start`, which any program in any language can call.
///
/// @code
/// PQexec(connection, "BEGIN");
/// PQexecParams(connection, "INSERT INTO loans (id, amount) VALUES ($1, $2)", ...);
/// pawl::postgres_start(connection, loans, "loan-17", loan{17, 2'500});
/// PQexec(connection, "COMMIT");
/// @endcode
///
/// The function stores a request, in a table where no commit of a run waits for it. After the
/// commit, an engine that has the workflow carries the request out: at once, or after its poll
/// interval if a notification is lost. Requests for one foreign id are carried out in the order of
/// the calls. A request that cannot be carried out becomes a dead letter, with an error in the log:
/// see request_dead_letter_topic(). The causes are those of client::async_trigger(), such as an
/// unfinished run of the foreign id, and an object that the workflow cannot read.
///
/// The codec of `Object` must write JSON.
///
/// `connection` is a connection of libpq to the database of the engines' store, of any role that
/// has the rights (see the page on PostgreSQL). The call blocks until the server has answered.
/// Without a transaction the request is committed at once.
///
/// Throws pawl::error, with the server's text: encode_failed — the codec threw; invalid_argument —
/// no engine has ever had the workflow, or a name, the key or the object is invalid; a store_* code
/// — the server failed. As after every error, the transaction can only be rolled back.
///
/// @par Thread Safety
/// Safe on distinct connections.
template <class Object, class Status>
void postgres_start(pg_conn* connection, const workflow<Object, Status>& flow,
                    std::string foreign_id, const std::type_identity_t<Object>& object,
                    const postgres_request_options& options = {})
{
    detail::sql_request request{flow.name(), std::move(foreign_id), {}, {}};
    request.version = flow.impl()->rules.object_version;
    if (const auto failed = detail::encode_into(object, request.payload))
        std::rethrow_exception(detail::exception_of(failed));
    detail::store_request(connection, request, options);
}

/// Sends a callback to the unfinished run of a foreign id if and only if the transaction of
/// `connection` commits: calls the SQL function `pawl.send`. Otherwise as postgres_start(); the
/// causes of dead letters are those of client::async_send(), such as a foreign id without an
/// unfinished run. A callback whose handler fails becomes a dead letter of
/// callback_dead_letter_topic(), as every callback.
template <class Object, class Status, class Payload>
void postgres_send(pg_conn* connection, const workflow<Object, Status>& flow,
                   std::string foreign_id, const callback<Payload>& declaration,
                   const std::type_identity_t<Payload>& payload,
                   const postgres_request_options& options = {})
{
    detail::sql_request request{flow.name(), std::move(foreign_id), declaration.name(), {}};
    request.version = schema<Payload>::version;
    if (const auto failed = detail::encode_into(payload, request.payload))
        std::rethrow_exception(detail::exception_of(failed));
    detail::store_request(connection, request, options);
}

} // namespace pawl
