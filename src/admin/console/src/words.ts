// Says in words what a run does, why it waits, and what happened to it.
import type { HistoryEntry, Run, RunDetail, StatusDefinition } from "./types";
import { formatDistance } from "./time";

/** Isolates a text of a program or a user, so that it cannot change the order of the words around it. */
const own = (text: string) => `\u2068${text}\u2069`;

/** Whether no live engine drives the run. Pawl's own workflows belong to no engine by name. */
const isUndriven = (run: Run) => !run.has_engine && !run.workflow.startsWith("pawl.");

/** A text of the server as a sentence. */
export function sentenceOf(text: string): string {
    if (text === "") return "The engine gives no reason.";
    return `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

export type Tone = "good" | "bad" | "warn" | "busy" | "idle";

export function toneOf(runState: string): Tone {
    switch (runState) {
        case "Completed": return "good";
        case "Paused": return "warn";
        case "Running": case "Initiated": return "busy";
        default: return "idle";
    }
}

const labels: Record<string, string> = {
    RequestedDataDeleted: "Deleting data",
    DataDeleted: "Data deleted",
};
export const stateLabel = (runState: string) => labels[runState] ?? runState;

export function isFinished(run: Run): boolean {
    return !["Initiated", "Running", "Paused"].includes(run.run_state);
}

/** For the row of a list: short. */
export function noteOf(run: Run, now: number): string {
    if (run.run_state === "Paused")
        return run.last_error ? `paused: ${run.last_error}` : run.reason ? `paused: ${run.reason}` : "paused";
    if (isFinished(run)) return run.reason;
    if (run.last_error) {
        const when = run.wake_at ? `, retries ${formatDistance(run.wake_at, now)}` : "";
        return `attempt ${run.attempt} failed${when}: ${run.last_error}`;
    }
    if (isUndriven(run)) return "no engine has the workflow";
    if (run.wake_at) return Date.parse(run.wake_at) > now ? `wakes ${formatDistance(run.wake_at, now)}` : `due ${formatDistance(run.wake_at, now)}`;
    return "";
}

export interface Explanation { text: string; tone: Tone }

function by(name: string): string {
    return name ? ` by ${own(name)}` : "";
}

function explainPause(run: RunDetail): Explanation {
    const until = run.resume_at ? " It resumes by itself." : "";
    if (run.pause === "by_error")
        return { tone: "bad", text: `Paused by an error in the status ${own(run.status)}, after ${run.attempt} failed ${run.attempt === 1 ? "attempt" : "attempts"}: ${own(run.last_error || run.reason || "no text")}.${until}` };
    const why = run.reason ? `: ${own(run.reason)}` : "";
    return { tone: "warn", text: `Paused${by(run.requested_by)} in the status ${own(run.status)}${why}.${until}` };
}

function explainWaiting(run: RunDetail, status: StatusDefinition | undefined, now: number): Explanation {
    const waits: string[] = [];
    const next = [...run.deadlines].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))[0];
    if (next) waits.push(`the timeout “${own(next.timeout)}” (${formatDistance(next.at, now)})`);
    if (status && status.callbacks.length > 0)
        waits.push(status.callbacks.length === 1 ? `the callback ${status.callbacks[0]}` : `one of the callbacks ${status.callbacks.join(", ")}`);
    if (waits.length > 0) return { tone: "busy", text: `Waits in the status ${own(run.status)} for ${waits.join(", or for ")}.` };
    if (run.wake_at && Date.parse(run.wake_at) > now)
        return { tone: "busy", text: `Waits in the status ${own(run.status)}; its step is called ${formatDistance(run.wake_at, now)}.` };
    if (run.wake_at) return { tone: "busy", text: `Due ${formatDistance(run.wake_at, now)} in the status ${own(run.status)}: an engine runs its step, or will as soon as it can.` };
    return { tone: "busy", text: `Waits in the status ${own(run.status)}. The store does not say for what.` };
}

/** Why the run does not go on now, or how it ended. */
export function explain(run: RunDetail, status: StatusDefinition | undefined, now: number): Explanation {
    switch (run.run_state) {
        case "Completed": return { tone: "good", text: `Completed in the status ${own(run.status)}.` };
        case "Cancelled": return { tone: "idle", text: `Cancelled${by(run.requested_by)} in the status ${own(run.status)}${run.reason ? `: ${own(run.reason)}` : ""}.` };
        case "RequestedDataDeleted": return { tone: "idle", text: `Finished. The deletion of its data is requested${by(run.requested_by)} and not done yet.` };
        case "DataDeleted": return { tone: "idle", text: "Finished. Its data has been deleted." };
        case "Paused": return explainPause(run);
    }
    if (isUndriven(run))
        return { tone: "bad", text: `Waits in the status ${own(run.status)}: no live engine has the workflow ${own(run.workflow)}.` };
    if (run.last_error && run.attempt > 0) {
        const at = run.not_before ?? run.wake_at;
        const when = at === null ? "" : Date.parse(at) > now ? `Retries ${formatDistance(at, now)}. ` : "Retries now. ";
        return { tone: "bad", text: `${when}Attempt ${run.attempt} failed in the status ${own(run.status)}: ${own(run.last_error)}` };
    }
    return explainWaiting(run, status, now);
}

/** The entry of a history in words. */
export function describe(entry: HistoryEntry): Explanation {
    const who = by(entry.requested_by);
    switch (entry.kind) {
        case "started": return { tone: "busy", text: `Started in ${own(entry.to)}${who}` };
        case "moved": return { tone: "busy", text: `${own(entry.from)} → ${own(entry.to)}${who}` };
        case "repeated": return { tone: "idle", text: `${own(entry.to)} is repeated later` };
        case "attempt_failed": return { tone: "bad", text: `Attempt ${entry.attempt} of ${own(entry.to)} failed` };
        case "attempt_begun": return { tone: "idle", text: `An attempt that a crash had ended begins again in ${own(entry.to)}` };
        case "paused": return { tone: "warn", text: `Paused in ${own(entry.to)}${who}` };
        case "resumed": return { tone: "busy", text: `Resumed in ${own(entry.to)}${who}` };
        case "cancelled": return { tone: "idle", text: `Cancelled in ${own(entry.to)}${who}` };
        case "completed": return { tone: "good", text: entry.from === entry.to ? `Completed in ${own(entry.to)}` : `${own(entry.from)} → ${own(entry.to)}, completed` };
        case "checkpointed": return { tone: "idle", text: `${own(entry.to)} saved its progress` };
        case "message_settled": return { tone: "idle", text: `A message was handled in ${own(entry.to)}${who}` };
        case "message_deferred": return { tone: "idle", text: `A message waits until ${own(entry.to)} can take it${who}` };
        case "data_deletion_requested": return { tone: "idle", text: `The deletion of its data was requested${who}` };
        case "data_deleted": return { tone: "idle", text: "Its data was deleted" };
        case "parent_notified": return { tone: "idle", text: "The parent knows the end" };
        case "children_cancelled": return { tone: "idle", text: "The children have the order to cancel" };
        default: return { tone: "idle", text: `${entry.kind} in ${own(entry.to)}${who}` };
    }
}
