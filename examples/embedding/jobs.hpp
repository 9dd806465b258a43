#pragma once

#include <pawl/builder.hpp>
#include <pawl/client.hpp>

struct job {
    std::string text;
    std::string result;
};
BOOST_DESCRIBE_STRUCT(job, (), (text, result))

enum class stage { queued = 1, done };
BOOST_DESCRIBE_ENUM(stage, queued, done)

using jobs_client = pawl::client<job, stage>;

/// Reverses a text.
pawl::workflow<job, stage> job_workflow();
