#pragma once

#include "pawl/observer.hpp"

#include <memory>
#include <utility>

namespace pawl::core {

/// Forwards each call to another observer, if there is one.
class forwarding_observer : public observer {
public:
    explicit forwarding_observer(std::shared_ptr<observer> target) : target_(std::move(target)) {}

    void committed(const transition& change) override
    {
        forward([&](observer& target) { target.committed(change); });
    }

    void handler_ended(const handler_report& report) override
    {
        forward([&](observer& target) { target.handler_ended(report); });
    }

    void discarded(std::string_view workflow, std::string_view process,
                   discard_reason reason) override
    {
        forward([&](observer& target) { target.discarded(workflow, process, reason); });
    }

    void message_settled(std::string_view workflow, message_kind kind, message_outcome outcome,
                         duration age) override
    {
        forward([&](observer& target) { target.message_settled(workflow, kind, outcome, age); });
    }

    void batch_applied(std::size_t changes, duration took, bool failed) override
    {
        forward([&](observer& target) { target.batch_applied(changes, took, failed); });
    }

    void engine_changed(std::string_view workflow, engine_state state) override
    {
        forward([&](observer& target) { target.engine_changed(workflow, state); });
    }

    trace_policy tracing() const override { return target_ ? target_->tracing() : trace_policy{}; }

protected:
    /// Called while an exception of the observer is handled. Default: rethrows it.
    virtual void failed() { throw; }

private:
    template <class Call>
    void forward(Call call)
    {
        if (!target_)
            return;
        try {
            call(*target_);
        } catch (...) {
            failed();
        }
    }

    const std::shared_ptr<observer> target_;
};

} // namespace pawl::core
