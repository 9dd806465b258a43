#include "cli/layouts.hpp"

namespace pawl::cli::layouts {

using enum cell_kind;

const layout status{
    .columns = {{"ready", "/ready"}, {"reason", "/reason"}, {"undriven", "/undriven", list}},
    .id = "/ready"};
const layout overview{.items = "/workflows",
                      .columns = {{"WORKFLOW", "/workflow"},
                                  {"UNFINISHED", "/unfinished", number},
                                  {"FAILING", "/failing/count", number},
                                  {"PAUSED", "/paused", number},
                                  {"OVERDUE", "/overdue/count", number},
                                  {"FINISHED", "/finished", number},
                                  {"ENGINE", "/has_engine"}},
                      .id = "/workflow"};
const layout schedules{.items = "/schedules",
                       .columns = {{"WORKFLOW", "/workflow"},
                                   {"NAME", "/name"},
                                   {"WHEN", "/when"},
                                   {"ZONE", "/zone"},
                                   {"PAUSED", "/is_paused"},
                                   {"NEXT", "/next_slot", time},
                                   {"LAST RUN", "/last_run"},
                                   {"ERROR", "/last_error"}},
                       .id = "/name"};
const layout connectors{.items = "/connectors",
                        .columns = {{"NAME", "/name"},
                                    {"WORKFLOW", "/workflow"},
                                    {"SOURCE", "/source"},
                                    {"ENGINE", "/engine"},
                                    {"LAG", "/lag", number},
                                    {"DEAD LETTERS", "/dead_letters/count", number}},
                        .id = "/name"};
const layout engines{.items = "/engines",
                     .columns = {{"NAME", "/name"},
                                 {"SHARDS", "/shards", number},
                                 {"WORKFLOWS", "/workflows", list},
                                 {"TOO OLD", "/too_old", list}},
                     .id = "/name"};
const layout topics{.items = "/topics",
                    .columns = {{"TOPIC", "/topic"},
                                {"LETTERS", "/letters/count", number},
                                {"OLDEST", "/oldest_at", time}},
                    .id = "/topic"};
const layout letters{.items = "/letters",
                     .columns = {{"POSITION", "/position", number},
                                 {"AT", "/at", time},
                                 {"KEY", "/key"},
                                 {"TYPE", "/type"},
                                 {"ATTEMPTS", "/headers/attempts", number},
                                 {"ERROR", "/headers/error"}},
                     .id = "/position"};
const layout runs{.items = "/runs",
                  .columns = {{"ID", "/id"},
                              {"WORKFLOW", "/workflow"},
                              {"FOREIGN ID", "/foreign_id"},
                              {"STATUS", "/status"},
                              {"STATE", "/run_state"},
                              {"UPDATED", "/updated_at", time},
                              {"ERROR", "/last_error"}},
                  .id = "/id"};
const layout run{.columns = {{"id", "/id"},
                             {"workflow", "/workflow"},
                             {"foreign id", "/foreign_id"},
                             {"status", "/status"},
                             {"state", "/run_state"},
                             {"version", "/version"},
                             {"created", "/created_at", time},
                             {"entered", "/entered_at", time},
                             {"updated", "/updated_at", time},
                             {"wakes", "/wake_at", time},
                             {"not before", "/not_before", time},
                             {"resumes", "/resume_at", time},
                             {"failed attempts", "/attempt"},
                             {"last error", "/last_error"},
                             {"reason", "/reason"},
                             {"requested by", "/requested_by"},
                             {"pending messages", "/pending_messages"},
                             {"parent", "/parent"},
                             {"has engine", "/has_engine"}},
                 .id = "/id"};
const layout object{.id = "/id", .raw = "/object"};
const layout messages{.items = "/messages",
                      .columns = {{"SEQUENCE", "/sequence", number},
                                  {"KIND", "/kind"},
                                  {"NAME", "/name"},
                                  {"SENT", "/sent_at", time},
                                  {"EXPIRES", "/expires_at", time},
                                  {"REQUESTED BY", "/requested_by"}},
                      .id = "/sequence"};
const layout history{.items = "/history",
                     .columns = {{"VERSION", "/version", number},
                                 {"AT", "/at", time},
                                 {"KIND", "/kind"},
                                 {"FROM", "/from"},
                                 {"TO", "/to"},
                                 {"STATE", "/run_state"},
                                 {"REQUESTED BY", "/requested_by"},
                                 {"ERROR", "/error"}},
                     .id = "/version"};
const layout audit{.items = "/audit",
                   .columns = {{"POSITION", "/position", number},
                               {"AT", "/at", time},
                               {"BY", "/requested_by"},
                               {"ACTION", "/action"},
                               {"WORKFLOW", "/workflow"},
                               {"FOREIGN ID", "/foreign_id"},
                               {"TARGET", "/target"},
                               {"OUTCOME", "/outcome"},
                               {"REASON", "/reason"}},
                   .id = "/position"};
const layout accepted{.columns = {{"id", "/id"}, {"outcome", "/outcome"}}, .id = "/id"};
const layout triggered{.columns = {{"id", "/id"}}, .id = "/id"};
const layout redriven{.columns = {{"succeeded", "/succeeded"}, {"failed", "/failed"}}};

} // namespace pawl::cli::layouts
