#pragma once

#include "pawl/observer.hpp"

#include <memory>
#include <utility>

namespace pawl::core {

/// Hands everything on to another observer, by way of hand_on(), if there is one.
class forwarding_observer : public observer {
public:
    explicit forwarding_observer(std::shared_ptr<observer> to) : to_(std::move(to)) {}

    void committed(const transition& change) override
    {
        hand_on([&](observer& to) { to.committed(change); });
    }

    void handler_ended(const handler_report& report) override
    {
        hand_on([&](observer& to) { to.handler_ended(report); });
    }

    void discarded(std::string_view workflow, std::string_view process, discard_reason why) override
    {
        hand_on([&](observer& to) { to.discarded(workflow, process, why); });
    }

    void message_settled(std::string_view workflow, message_kind kind, message_outcome outcome,
                         duration age) override
    {
        hand_on([&](observer& to) { to.message_settled(workflow, kind, outcome, age); });
    }

    void batch_applied(std::size_t changes, duration took, bool failed) override
    {
        hand_on([&](observer& to) { to.batch_applied(changes, took, failed); });
    }

    void engine_changed(std::string_view workflow, engine_state state) override
    {
        hand_on([&](observer& to) { to.engine_changed(workflow, state); });
    }

protected:
    /// What an observer throws.
    virtual void failed() { throw; }

private:
    template <class Call>
    void hand_on(Call call)
    {
        if (!to_)
            return;
        try {
            call(*to_);
        } catch (...) {
            failed();
        }
    }

    const std::shared_ptr<observer> to_;
};

} // namespace pawl::core
