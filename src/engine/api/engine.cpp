#include "pawl/engine.hpp"

#include "engine/api/engine_core.hpp"
#include "engine/operations/operations_service.hpp"
#include "pawl/operations.hpp"

#include <utility>

namespace pawl {

engine::engine(boost::asio::any_io_executor executor, engine_options options)
    : core_(std::make_shared<detail::engine_core>(std::move(executor), std::move(options)))
{
}

engine::~engine()
{
    core_->abandon();
}

void engine::plan(detail::completion<std::vector<start_plan>> done)
{
    core_->plan(std::move(done));
}

void engine::statistics(detail::completion<engine_statistics> done)
{
    core_->statistics(std::move(done));
}

void engine::cluster(detail::completion<cluster_view> done)
{
    core_->cluster(std::move(done));
}

void engine::redrive(std::string topic, detail::completion<redrive_result> done)
{
    core_->redrive(std::move(topic), std::move(done));
}

operations engine::operations() const
{
    return pawl::operations{std::shared_ptr<detail::operations_api>{core_, &core_->operations()}};
}

error_code engine::readiness() const noexcept
{
    return core_->readiness();
}

bool engine::running() const noexcept
{
    return core_->running();
}

boost::asio::any_io_executor engine::get_executor() const
{
    return core_->executor();
}

void engine::add_untyped(std::shared_ptr<const detail::workflow_impl> added)
{
    core_->add(std::move(added));
}

std::shared_ptr<detail::engine_api> engine::api() const
{
    return core_;
}

std::shared_ptr<detail::limits_api> engine::limits_api() const
{
    return core_;
}

void engine::start(detail::completion<> done)
{
    core_->start(std::move(done));
}

void engine::stop(duration drain, detail::completion<> done)
{
    core_->stop(drain, std::move(done));
}

} // namespace pawl
