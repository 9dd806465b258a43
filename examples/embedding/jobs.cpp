#include "jobs.hpp"

namespace {

pawl::step<stage::done> reverse_text(pawl::run<job>& run)
{
    const auto& text = run.object().text;
    run.object().result.assign(text.rbegin(), text.rend());
    co_return pawl::to<stage::done>;
}

} // namespace

pawl::workflow<job, stage> job_workflow()
{
    pawl::builder<job, stage> b{"jobs"};
    b.step<stage::queued>(reverse_text);
    b.end<stage::done>();
    return std::move(b).build();
}
