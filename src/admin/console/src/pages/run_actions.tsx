// What an operator can do with a run: as far as the server has it, the role may, and the state of the run allows it.
import { useState } from "preact/hooks";
import { useApp } from "../app";
import { pathOf, readExact, type ChangeOptions } from "../api";
import { ExactObject, parseExact, printExact } from "../exact";
import { ChangeForm } from "../parts/change_form";
import { ProblemBox } from "../parts/basics";
import { useResource } from "../resource";
import { isFinished } from "../words";
import type { RunDetail, StatusDefinition } from "../types";

type Verb = "pause" | "resume" | "retry" | "cancel" | "move" | "callback" | "delete-data";

interface Action { verb: Verb; label: string; title: string; text: string; isDangerous?: boolean }

const actions: Action[] = [
    { verb: "retry", label: "Retry", title: "Retry now", text: "The step is called at once, with all of its attempts." },
    { verb: "resume", label: "Resume", title: "Resume the run", text: "The run goes on in its status." },
    { verb: "pause", label: "Pause", title: "Pause the run", text: "A handler that runs now ends first. Messages wait until the run is resumed." },
    { verb: "callback", label: "Send callback", title: "Send a callback", text: "" },
    { verb: "move", label: "Move", title: "Move to another status", text: "The run goes on in the status that you choose, with the object below." },
    { verb: "cancel", label: "Cancel", title: "Cancel the run", text: "The run ends in its status, and its children too. This cannot be undone.", isDangerous: true },
    { verb: "delete-data", label: "Delete data", title: "Delete the data of the run", text: "The object is removed from the store. This cannot be undone.", isDangerous: true },
];

const routeOf = (verb: Verb) => (verb === "callback" ? "/runs/{run}/callbacks/{name}" : `/runs/{run}/${verb}`);

function isPossible(verb: Verb, run: RunDetail): boolean {
    const isPaused = run.run_state === "Paused";
    switch (verb) {
        case "pause": return !isFinished(run) && !isPaused;
        case "resume": case "move": return isPaused;
        case "retry": return !isFinished(run) && (run.last_error !== "" || run.pause === "by_error");
        case "cancel": case "callback": return !isFinished(run);
        case "delete-data": return isFinished(run) && run.run_state !== "DataDeleted" && run.run_state !== "RequestedDataDeleted";
    }
}

/** The text as it stands, if it is JSON: numbers reach the server as they are written. */
function checkJson(text: string, what: string): string {
    try {
        parseExact(text);
    } catch (fault) {
        throw new Error(`${what} is ${fault instanceof Error ? fault.message : "not JSON"}.`);
    }
    return text.trim();
}

interface FormProps { run: RunDetail; close: () => void; changed: () => void }

function CallbackForm(props: FormProps & { action: Action; status: StatusDefinition | undefined }) {
    const known = props.status?.callbacks ?? [];
    const [name, setName] = useState(known[0] ?? "");
    const [payload, setPayload] = useState("{}");
    const options = (): ChangeOptions => {
        if (!name.trim()) throw new Error("Enter the name of the callback.");
        return { members: [["payload", checkJson(payload, "The payload")]] };
    };
    return (
        <ChangeForm title={props.action.title} verb="Send" path={`runs/${pathOf(props.run.id)}/callbacks/${pathOf(name.trim() || "-")}`}
            options={options} close={props.close} changed={props.changed}>
            <label class="field field-wide">
                <span>Callback</span>
                <input type="text" list="callbacks" value={name} spellcheck={false} onInput={(event) => setName(event.currentTarget.value)} />
                <datalist id="callbacks">{known.map((one) => <option key={one} value={one} />)}</datalist>
            </label>
            {known.length === 0 && <p class="faint">The status {props.run.status} takes no callback. The message waits in the inbox until a status does.</p>}
            <label class="field field-wide">
                <span>Payload, JSON</span>
                <textarea rows={6} class="code" value={payload} spellcheck={false} onInput={(event) => setPayload(event.currentTarget.value)} />
            </label>
        </ChangeForm>
    );
}

function MoveForm(props: FormProps & { action: Action; statuses: StatusDefinition[] }) {
    const { run } = props;
    const [status, setStatus] = useState(String(run.status_number));
    const [edited, setEdited] = useState<string | null>(null);
    const stored = useResource(`object/${run.id}`, (signal) => readExact(`runs/${pathOf(run.id)}/object`, signal));
    const object = stored.data instanceof ExactObject ? stored.data.find("object") : undefined;
    const printed = object === undefined ? "" : printExact(object);
    const options = (): ChangeOptions => {
        const members: [string, string][] = [["status", JSON.stringify(status)]];
        if (edited !== null && edited !== printed) members.push(["object", checkJson(edited, "The object")]);
        return { members, version: run.version };
    };
    return (
        <ChangeForm title={props.action.title} verb="Move" path={`runs/${pathOf(run.id)}/move`} options={options} close={props.close} changed={props.changed}>
            <p>{props.action.text} It is refused if the run changes meanwhile.</p>
            <label class="field field-wide">
                <span>Status</span>
                <select value={status} onChange={(event) => setStatus(event.currentTarget.value)}>
                    {props.statuses.map((one) => <option key={one.status_number} value={String(one.status_number)}>{one.status}</option>)}
                    {!props.statuses.some((one) => String(one.status_number) === status) && <option value={status}>{run.status}</option>}
                </select>
            </label>
            {stored.problem && <ProblemBox problem={stored.problem} retry={stored.reload} />}
            {object !== undefined && (
                <label class="field field-wide">
                    <span>Object</span>
                    <textarea rows={10} class="code" value={edited ?? printed} spellcheck={false} onInput={(event) => setEdited(event.currentTarget.value)} />
                </label>
            )}
            {stored.data && object === undefined && <p class="faint">The object is not JSON; it stays as it is.</p>}
        </ChangeForm>
    );
}

export function RunActions(props: { run: RunDetail; status: StatusDefinition | undefined; statuses: StatusDefinition[]; changed: () => void }) {
    const { run } = props;
    const { abilities } = useApp();
    const [open, setOpen] = useState<Action | null>(null);
    const present = actions.filter((one) => abilities.has("post", routeOf(one.verb)) && isPossible(one.verb, run));
    const allowed = present.filter((one) => abilities.may("post", routeOf(one.verb)));
    const close = () => setOpen(null);
    const form = { run, close, changed: props.changed };
    return (
        <div class="actions">
            {allowed.map((one) => (
                <button key={one.verb} type="button" class={one.isDangerous ? "danger-quiet" : ""} onClick={() => setOpen(one)}>{one.label}</button>
            ))}
            {present.length > 0 && allowed.length === 0 && <span class="faint">To change runs you need the role {abilities.needs("post", routeOf(present[0]!.verb))}.</span>}
            {open?.verb === "callback" && <CallbackForm action={open} status={props.status} {...form} />}
            {open?.verb === "move" && <MoveForm action={open} statuses={props.statuses} {...form} />}
            {open && open.verb !== "callback" && open.verb !== "move" && (
                <ChangeForm title={open.title} verb={open.verb === "cancel" ? "Cancel the run" : open.label} isDangerous={open.isDangerous ?? false} path={`runs/${pathOf(run.id)}/${open.verb}`} options={() => ({})} close={close} changed={props.changed}>
                    <p><strong>{run.workflow}</strong> {run.foreign_id}</p>
                    <p>{open.text}</p>
                </ChangeForm>
            )}
        </div>
    );
}
