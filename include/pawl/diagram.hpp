#pragma once

#include "pawl/definition.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <string>

namespace pawl {

/// The direction of a diagram's arrows: left to right, top to bottom, and their reverses.
enum class diagram_direction : std::uint8_t { LR, TB, RL, BT };

/// Options of diagram().
struct diagram_options {
    /// The direction of the arrows. Default LR, left to right.
    diagram_direction direction = diagram_direction::LR;
};

/// Returns the graph of a workflow as a Mermaid state diagram (`stateDiagram-v2`), titled with its
/// name.
///
/// Starts and ends are marked. The edges of a step have no label, those of a callback its name,
/// those of a timeout "timeout". Statuses are in the order of their numbers, edges in the order of
/// their declaration; the text is the same at each call. Put it into a fence of the language
/// `mermaid` to display it in Markdown.
std::string diagram(const definition& rules, diagram_options options = {});

/// The same for a workflow.
template <class Object, class Status>
std::string diagram(const workflow<Object, Status>& flow, diagram_options options = {})
{
    return diagram(flow.rules(), options);
}

} // namespace pawl
