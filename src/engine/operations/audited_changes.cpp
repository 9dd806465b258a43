#include "engine/operations/audited_changes.hpp"

#include "core/repair.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/operations/store_inventory.hpp"
#include "engine/run/exception_info.hpp"
#include "pawl/detail/json_io.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::quoted;
using detail::run_change;

namespace {

constexpr std::size_t max_reason_length = 1024;
constexpr duration max_wait = std::chrono::hours{1};

const char* action_of(message_kind kind)
{
    switch (kind) {
    case message_kind::callback:
        return "call";
    case message_kind::pause:
        return "pause";
    case message_kind::resume:
        return "resume";
    case message_kind::cancel:
        return "cancel";
    case message_kind::delete_data:
        return "delete_data";
    case message_kind::retry:
        return "retry";
    case message_kind::move:
        return "move";
    }
    return "unknown";
}

/// Whether the failure leaves open whether the change is executed.
audit_outcome outcome_of(const error_code& code)
{
    if (code.category() != pawl_category())
        return audit_outcome::failed;
    switch (static_cast<errc>(code.value())) {
    case errc::callback_failed:
    case errc::not_running:
    case errc::store_unavailable:
    case errc::store_locked:
    case errc::store_read_only:
    case errc::store_full:
    case errc::store_corrupt:
    case errc::store_flush_failed:
    case errc::unexpected_exception:
        return audit_outcome::failed;
    default:
        return audit_outcome::refused;
    }
}

void check_json(const std::string& text, const char* subject)
{
    try {
        detail::parse_json(text);
    } catch (...) {
        throw error(errc::invalid_argument, std::string{subject} + " is no JSON document: " +
                                                detail::exception_text(std::current_exception()));
    }
}

/// Whether the driving engine compares change_request::if_version.
bool is_repair(message_kind kind)
{
    return kind == message_kind::retry || kind == message_kind::move;
}

/// The object as the codec of the workflow writes it. Throws error (decode_failed).
std::string checked_object(const detail::workflow_impl& workflow, const std::string& given)
{
    std::string ignored;
    std::string written;
    try {
        workflow.encode(workflow.decode(given, &ignored), written);
    } catch (...) {
        throw error(errc::decode_failed, "trigger_request::object cannot be read: " +
                                             detail::exception_text(std::current_exception()));
    }
    if (!ignored.empty())
        throw error(errc::decode_failed, "trigger_request::object has a member " + quoted(ignored) +
                                             " that its type does not have");
    return written;
}

} // namespace

void check_version(const record& run, const change_request& request)
{
    if (request.if_version && *request.if_version != run.version)
        throw error(errc::conflict,
                    "run " + to_string(run.id) + " has version " + std::to_string(run.version) +
                        "; the change is for version " + std::to_string(*request.if_version));
}

void check_request(const change_request& request)
{
    detail::check_name(request.by.name, true, "change_request::by.name");
    detail::check_name(request.by.method, true, "change_request::by.method");
    detail::check_name(request.by.address, true, "change_request::by.address");
    if (request.wait_for < duration::zero() || request.wait_for > max_wait)
        throw error(errc::invalid_argument,
                    "change_request::wait_for is " +
                        std::to_string(request.wait_for / std::chrono::milliseconds{1}) +
                        " ms; it must be from 0 to 1 h");
}

audited_changes::audited_changes(detail::engine_core& core)
    : core_(core), audit_(core.shared_, core.options_.max_audit_entries)
{
}

audit_entry audited_changes::begin(const char* action, const change_request& request)
{
    audit_entry entry;
    entry.id = to_string(core_.new_run_id());
    entry.at = core_.shared_.clock.now();
    entry.by = request.by;
    for (auto* text : {&entry.by.name, &entry.by.method, &entry.by.address})
        *text = core::truncate_utf8(std::move(*text), max_reason_length);
    entry.action = action;
    entry.reason = core::truncate_utf8(request.reason, max_reason_length);
    return entry;
}

asio::awaitable<void> audited_changes::finish(audit_entry entry, std::exception_ptr failure)
{
    entry.at = core_.shared_.clock.now();
    if (failure) {
        const auto told = detail::failure_of(failure);
        entry.outcome = outcome_of(told.code);
        entry.error = told.code.message();
        entry.detail = told.detail;
    }
    co_await audit_.append(std::move(entry));
    if (failure)
        std::rethrow_exception(failure);
}

asio::awaitable<change_result> audited_changes::change(run_change wanted, change_request request)
{
    auto entry = begin(action_of(wanted.kind), request);
    entry.workflow = wanted.workflow;
    entry.run = wanted.run;
    entry.target = wanted.kind == message_kind::move ? wanted.move.status : wanted.callback.name;
    change_result result;
    std::exception_ptr failure;
    try {
        result = co_await send(std::move(wanted), std::move(request), entry);
    } catch (...) {
        failure = std::current_exception();
    }
    result.audit_id = entry.id;
    entry.outcome =
        result.outcome == message_outcome::pending ? audit_outcome::accepted : audit_outcome::done;
    co_await finish(std::move(entry), std::move(failure));
    co_return result;
}

/// Delivers the message of the change, and waits until it is settled.
asio::awaitable<change_result> audited_changes::send(run_change wanted, change_request request,
                                                     audit_entry& entry)
{
    check_request(request);
    detail::check_key(request.idempotency_key);
    const auto kind = wanted.kind;
    auto receiver = co_await core_.find_receiver(wanted.workflow, wanted.run);
    entry.foreign_id = receiver.foreign_id;
    if (!is_repair(kind))
        check_version(receiver, request);
    auto content = co_await message_of(std::move(wanted), request);
    entry.outcome = audit_outcome::requested;
    auto record = audit_.publication_of(entry);
    auto sent = co_await core_.deliver(std::move(receiver), std::move(content),
                                       core_.max_pending_of(kind), std::move(record));
    const auto delivered = std::move(sent).value();
    auto settled = delivered.state;
    if (settled.outcome == message_outcome::pending && request.wait_for > duration::zero())
        settled =
            co_await core_.await_settlement(delivered.run, settled.sequence, request.wait_for);
    if (const auto refused = detail::failure_of(settled, kind))
        std::rethrow_exception(detail::exception_of(refused));
    co_return change_result{delivered.run, settled.sequence, settled.outcome, {}};
}

asio::awaitable<message> audited_changes::message_of(run_change wanted, change_request request)
{
    const auto own = core_.shared_.workflows.find(wanted.workflow);
    const auto* const known =
        own == core_.shared_.workflows.end() ? nullptr : own->second.impl.get();
    detail::send_call call;
    call.run = wanted.run;
    call.kind = wanted.kind;
    call.key = request.idempotency_key;
    call.requested_by = request.by.name;
    if (is_repair(wanted.kind)) {
        call.payload = co_await repair_of(wanted, request);
    } else if (wanted.kind == message_kind::callback) {
        check_json(wanted.callback.payload, "callback_request::payload");
        if (!known)
            co_await check_callback(wanted.workflow, wanted.callback.name);
        call.name = std::move(wanted.callback.name);
        call.payload = std::move(wanted.callback.payload);
        call.payload_version = wanted.callback.payload_version;
    } else {
        call.payload = std::move(request.reason);
    }
    co_return core_.make_message(wanted.workflow, known, std::move(call));
}

/// The payload of a retry or a move.
asio::awaitable<std::string> audited_changes::repair_of(run_change wanted, change_request request)
{
    core::repair_request repair;
    repair.reason = core::truncate_utf8(std::move(request.reason), max_reason_length);
    repair.if_version = request.if_version;
    if (wanted.kind == message_kind::move) {
        repair.status = co_await status_of(wanted.workflow, wanted.move.status);
        if (wanted.move.object)
            check_json(*wanted.move.object, "move_request::object");
        repair.object = std::move(wanted.move.object);
    }
    co_return core::encode_repair(repair);
}

asio::awaitable<int> audited_changes::status_of(std::string workflow, std::string status)
{
    status_labels labels;
    const store_inventory inventory{core_.shared_, core_.options_.client_only};
    co_await inventory.add_labels({workflow}, labels);
    co_return labels.number(workflow, status);
}

/// Throws error (no_such_callback) if stored definitions of the workflow are known, and none of
/// them declares the callback.
asio::awaitable<void> audited_changes::check_callback(std::string workflow, std::string callback)
{
    const auto definitions = co_await read_definitions(core_.shared_.store, workflow);
    const auto declares = [&](const declared_status& status) {
        return std::ranges::find(status.callbacks, callback) != status.callbacks.end();
    };
    const bool is_declared = std::ranges::any_of(definitions, [&](const logged_definition& logged) {
        return std::ranges::any_of(logged.declared.statuses, declares);
    });
    if (!definitions.empty() && !is_declared)
        throw error(errc::no_such_callback,
                    quoted(workflow) + " declares no callback " + quoted(callback));
}

asio::awaitable<change_result> audited_changes::trigger(std::string workflow, trigger_request start,
                                                        change_request request)
{
    auto entry = begin("trigger", request);
    entry.workflow = workflow;
    entry.foreign_id = start.foreign_id;
    entry.target = start.status;
    change_result result;
    std::exception_ptr failure;
    try {
        result =
            co_await start_run(std::move(workflow), std::move(start), std::move(request), entry);
    } catch (...) {
        failure = std::current_exception();
    }
    entry.run = result.run;
    result.audit_id = entry.id;
    entry.outcome = audit_outcome::done;
    co_await finish(std::move(entry), std::move(failure));
    co_return result;
}

asio::awaitable<change_result> audited_changes::start_run(std::string workflow,
                                                          trigger_request start,
                                                          change_request request,
                                                          audit_entry& entry)
{
    check_request(request);
    const auto own = core_.shared_.workflows.find(workflow);
    if (own == core_.shared_.workflows.end() || workflow.starts_with(core::reserved_prefix)) {
        auto text =
            co_await refusal_of_workflow(workflow, "whose codec checks the object of a run");
        throw error(errc::missing_workflow, text);
    }
    const auto impl = own->second.impl;
    detail::trigger_call call;
    call.foreign_id = std::move(start.foreign_id);
    call.object = checked_object(*impl, start.object);
    call.id_reuse = start.id_reuse;
    call.key = request.idempotency_key;
    if (!start.status.empty())
        call.status = co_await status_of(workflow, start.status);
    entry.outcome = audit_outcome::requested;
    auto record = audit_.publication_of(entry);
    const auto run = co_await core_.do_trigger(impl, std::move(call), false, std::move(record));
    co_return change_result{run.value(), 0, message_outcome::handled, {}};
}

asio::awaitable<std::string> audited_changes::refusal_of_workflow(std::string workflow,
                                                                  std::string need)
{
    const store_inventory inventory{core_.shared_, core_.options_.client_only};
    const auto view = co_await inventory.engines();
    std::string others;
    for (const auto& engine : view.engines)
        if (std::ranges::find(engine.workflows, workflow) != engine.workflows.end())
            others += (others.empty() ? "" : ", ") + engine.name;
    auto text = "this engine does not have the workflow " + quoted(workflow) + ", " + need + ": ";
    text +=
        others.empty() ? "no live engine has it" : "ask one of the engines that have it: " + others;
    co_return text;
}

asio::awaitable<redrive_result> audited_changes::redrive(std::string topic, change_request request)
{
    auto entry = begin("redrive", request);
    entry.target = core::truncate_utf8(topic, max_reason_length);
    redrive_result result;
    std::exception_ptr failure;
    try {
        check_request(request);
        entry.outcome = audit_outcome::requested;
        co_await audit_.append(entry);
        result = co_await core_.do_redrive(std::move(topic));
    } catch (...) {
        failure = std::current_exception();
    }
    entry.outcome = audit_outcome::done;
    co_await finish(std::move(entry), std::move(failure));
    co_return result;
}

} // namespace pawl::engine_detail
