// The filters of the list of runs. The URL has all of them: the view can be sent to somebody, and the browser's history works.
import { useEffect, useRef, useState } from "preact/hooks";
import { read } from "../api";
import { useResource } from "../resource";
import { go, linkTo, replace } from "../router";
import { stateLabel } from "../words";
import type { Workflow } from "../types";

export const filterNames = [
    "workflow", "status", "run_state", "attention", "foreign_id", "error", "attribute", "parent",
    "created_from", "created_to", "order",
] as const;
type FilterName = (typeof filterNames)[number];
export type Filter = Partial<Record<FilterName, string>>;

const runStates = ["Initiated", "Running", "Paused", "Cancelled", "Completed", "RequestedDataDeleted", "DataDeleted"];
const runId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function filterOf(query: URLSearchParams): Filter {
    const filter: Filter = {};
    for (const name of filterNames) {
        const value = query.get(name);
        if (value) filter[name] = value;
    }
    return filter;
}

export const linkOf = (filter: Filter) => linkTo(["runs"], filter as Record<string, string>);

function Choice(props: { label: string; value: string; options: [value: string, text: string][]; change: (value: string) => void; disabled?: boolean }) {
    const isKnown = props.value === "" || props.options.some(([value]) => value === props.value);
    return (
        <label class="field">
            <span>{props.label}</span>
            <select value={props.value} disabled={props.disabled ?? false} onChange={(event) => props.change(event.currentTarget.value)}>
                <option value="">Any</option>
                {!isKnown && <option value={props.value}>{props.value}</option>}
                {props.options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
            </select>
        </label>
    );
}

/** A field whose text counts when it is left, or Enter is pressed. */
function TextField(props: { label: string; value: string; placeholder?: string; change: (value: string) => void }) {
    const [text, setText] = useState(props.value);
    useEffect(() => setText(props.value), [props.value]);
    const commit = () => text.trim() !== props.value && props.change(text.trim());
    return (
        <label class="field">
            <span>{props.label}</span>
            <input type="text" value={text} placeholder={props.placeholder ?? ""} spellcheck={false}
                onInput={(event) => setText(event.currentTarget.value)} onBlur={commit}
                onKeyDown={(event) => event.key === "Enter" && commit()} />
        </label>
    );
}

export function RunsFilter(props: { filter: Filter }) {
    const { filter } = props;
    const [search, setSearch] = useState(filter.foreign_id ?? "");
    const field = useRef<HTMLInputElement>(null);
    const hasMore = Boolean(filter.error || filter.attribute || filter.created_from || filter.created_to || filter.order);
    const [isOpen, setOpen] = useState(hasMore);
    const workflows = useResource("workflows", (signal) => read<{ workflows: Workflow[] }>("workflows", signal));
    useEffect(() => setSearch(filter.foreign_id ?? ""), [filter.foreign_id]);

    const set = (changed: Filter) => {
        const next: Filter = { ...filter, ...changed };
        if ("workflow" in changed) delete next.status; // statuses are of a workflow
        if (!next.workflow) delete next.attribute;
        replace(linkOf(next));
    };
    const find = (event: Event) => {
        event.preventDefault();
        const text = search.trim();
        if (runId.test(text)) go(linkTo(["runs", text.toLowerCase()]));
        else set({ foreign_id: text });
    };
    const known = workflows.data?.workflows ?? [];
    const chosen = known.find((one) => one.workflow === filter.workflow);
    const statuses = new Map<string, string>();
    for (const definition of chosen?.definitions ?? [])
        for (const status of definition.statuses) statuses.set(String(status.status_number), status.status);
    // A label in the URL is shown as the status that it names.
    const status = [...statuses].find(([, label]) => label === filter.status)?.[0] ?? filter.status ?? "";
    return (
        <form class="filters" onSubmit={find} role="search" aria-label="Filter runs">
            <label class="field field-search">
                <span>Foreign id or run id</span>
                <input id="search" ref={field} type="search" value={search} placeholder="Press / to search" spellcheck={false}
                    onInput={(event) => setSearch(event.currentTarget.value)}
                    onBlur={() => { if (search.trim() === "" && filter.foreign_id) set({ foreign_id: "" }); }} />
            </label>
            <Choice label="Workflow" value={filter.workflow ?? ""} options={known.map((one) => [one.workflow, one.workflow])} change={(workflow) => set({ workflow })} />
            <Choice label="Status" value={status} disabled={!filter.workflow} options={[...statuses]} change={(value) => set({ status: value })} />
            <Choice label="State" value={filter.run_state ?? ""} options={runStates.map((name) => [name, stateLabel(name)])} change={(value) => set({ run_state: value })} />
            <Choice label="Attention" value={filter.attention ?? ""} options={[["failing", "Failing"], ["paused", "Paused"], ["overdue", "Overdue"]]} change={(value) => set({ attention: value })} />
            <div class="filter-buttons">
                <button type="button" class="quiet" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>{isOpen ? "Fewer" : "More"}</button>
                {Object.keys(filter).length > 0 && <button type="button" class="quiet" onClick={() => replace(linkTo(["runs"]))}>Clear</button>}
            </div>
            {isOpen && (
                <div class="filters-more">
                    <TextField label="Last error contains" value={filter.error ?? ""} change={(error) => set({ error })} />
                    <TextField label="Attribute" value={filter.attribute ?? ""} placeholder={filter.workflow ? "customer=7" : "Choose a workflow first"} change={(attribute) => set({ attribute })} />
                    <TextField label="Created from" value={filter.created_from ?? ""} placeholder="2027-01-31T00:00:00Z" change={(value) => set({ created_from: value })} />
                    <TextField label="Created before" value={filter.created_to ?? ""} placeholder="2027-02-01T00:00:00Z" change={(value) => set({ created_to: value })} />
                    <Choice label="Order" value={filter.order ?? ""} options={[["newest_first", "Newest first"], ["oldest_first", "Oldest first"]]} change={(order) => set({ order })} />
                </div>
            )}
            {filter.parent && <p class="filter-note">Children of <code>{filter.parent}</code> <button type="button" class="quiet" onClick={() => set({ parent: "" })}>Show all runs</button></p>}
            <button type="submit" class="offscreen" tabIndex={-1} aria-hidden="true">Search</button>
        </form>
    );
}
