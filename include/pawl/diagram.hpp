#pragma once

#include "pawl/definition.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <string>

namespace pawl {

/// Where the arrows of a diagram point: left to right, top to bottom, and their reverses.
enum class diagram_direction : std::uint8_t { LR, TB, RL, BT };

struct diagram_options {
    /// Default LR.
    diagram_direction direction = diagram_direction::LR;
};

/// The workflow's graph as a Mermaid state diagram (`stateDiagram-v2`), titled with its name.
///
/// Starts and ends are marked. A step's edges are bare, a callback's carry its name, a timeout's
/// say "timeout". Statuses stand in the order of their numbers, edges in the order of their
/// declaration; the text is the same at each call. Put it into a fence of the language `mermaid`
/// to see it in Markdown.
std::string diagram(const definition& rules, diagram_options options = {});

template <class Object, class Status>
std::string diagram(const workflow<Object, Status>& flow, diagram_options options = {})
{
    return diagram(flow.rules(), options);
}

} // namespace pawl
