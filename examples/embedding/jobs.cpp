#include "jobs.hpp"

namespace {

pawl::step<stage::done> turn_round(pawl::run<job>& run)
{
    const auto& text = run.object().text;
    run.object().result.assign(text.rbegin(), text.rend());
    co_return pawl::to<stage::done>;
}

} // namespace

pawl::workflow<job, stage> job_workflow()
{
    pawl::builder<job, stage> b{"jobs"};
    b.step<stage::given>(turn_round);
    b.end<stage::done>();
    return std::move(b).build();
}
