// What the admin API answers; see ../../openapi.json. 64-bit numbers are texts.

export type Role = "viewer" | "operator" | "admin";
export interface Sender { name: string; role: Role; method: string }
export interface Capped { count: string; is_capped: boolean }
export interface Engine { name: string; workflows: string[]; too_old: string[]; shards: string; is_self: boolean }
export interface Status { ready: boolean; reason: string; engines: Engine[]; undriven: string[] }
export interface StatusCount { status: string; status_number: number; run_state: string; runs: string }
export interface Overview {
    workflow: string; has_engine: boolean; unfinished: string; finished: string; paused: string;
    failing: Capped; overdue: Capped; counts: StatusCount[];
}
export interface StatusDefinition {
    status: string; status_number: number; has_step: boolean; timeouts: string[]; callbacks: string[];
}
export interface Definition {
    hash: string; position: string; first_started_at: string; object_version: number; is_own: boolean;
    statuses: StatusDefinition[]; hooks: string[];
}
export interface Workflow { workflow: string; has_engine: boolean; definitions: Definition[] }
export interface Run {
    id: string; workflow: string; foreign_id: string; status: string; status_number: number; run_state: string;
    version: string; attempt: number; last_error: string; reason: string; requested_by: string;
    pause: "none" | "by_error" | "by_request"; created_at: string; updated_at: string; wake_at: string | null;
    pending_messages: number; has_engine: boolean;
}
export interface RunDetail extends Run {
    visit: number; entered_at: string; not_before: string | null; resume_at: string | null; object_version: number;
    last_message: string; trace_parent: string; parent: string | null;
    deadlines: { timeout: string; at: string; attempt: number }[];
    effects: { name: string; for_run: boolean }[];
    attributes: Record<string, string | boolean | null>;
}
export interface HistoryEntry {
    version: string; at: string; kind: string; from: string; from_number: number; to: string; to_number: number;
    run_state: string; attempt: number; error: string; requested_by: string;
}
export interface RunPage { runs: Run[]; next: string | null; complete: boolean; searched_to: string | null; examined: string }
export interface Outcome { sequence: string; outcome: string; detail: string }
export interface Schedule {
    name: string; workflow: string; foreign_id: string; when: string; zone: string; overlap: string; catch_up: string;
    catch_up_limit: string; is_paused: boolean; next_slot: string | null; last_slot: string | null;
    last_run: string | null; fired: string; skipped: string; last_error: string;
}
export interface Connector {
    name: string; workflow: string; engine: string; source: string; lag: string | null; dead_letter_topic: string;
    dead_letters: Capped;
}
export interface Shard { shard: number; workflow: string; owner: string; epoch: string; until: string | null }
export interface Engines { engines: Engine[]; undriven: string[]; shards: Shard[] }
export interface Topic { topic: string; letters: Capped; oldest_at: string | null }
export interface Change { id: string; message: string; outcome: "handled" | "pending"; audit_id: string }
export interface AuditEntry {
    position: string; id: string; at: string; requested_by: string; method: string; address: string; action: string;
    workflow: string; run: string | null; foreign_id: string; target: string; reason: string; outcome: string;
    error: string; detail: string;
}
