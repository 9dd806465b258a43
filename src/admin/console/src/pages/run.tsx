import { useEffect, useRef, useState } from "preact/hooks";
import { useApp, usePageStream, useTitle } from "../app";
import { pathOf, read } from "../api";
import { Badge, CopyButton, Denied, Empty, Loading, Panel, ProblemBox, RunState, Term, When } from "../parts/basics";
import { Timeline } from "../parts/timeline";
import { useResource } from "../resource";
import { linkTo } from "../router";
import { formatCount, formatTime, useNow } from "../time";
import { explain, isFinished } from "../words";
import type { HistoryEntry, Run, RunDetail, RunPage, StatusDefinition, Workflow } from "../types";
import { RunActions } from "./run_actions";
import { MessagesPanel, ObjectPanel } from "./run_documents";

const historyPage = 1_000;

interface HistoryState { entries: HistoryEntry[]; next: string | null }

/** Reads the entries after those that are known. */
async function readHistory(id: string, known: HistoryEntry[], signal: AbortSignal): Promise<HistoryState> {
    const after = known[known.length - 1]?.version ?? "0";
    const answer = await read<{ history: HistoryEntry[]; next: string | null }>(`runs/${pathOf(id)}/history?after=${after}&limit=${historyPage}`, signal);
    return { entries: [...known, ...answer.history], next: answer.next };
}

function HistoryPanel(props: { run: RunDetail }) {
    const known = useRef<HistoryEntry[]>([]);
    const history = useResource(`history/${props.run.id}`, async (signal) => {
        // A store that went back after a failover has another history.
        const last = known.current[known.current.length - 1];
        if (last && BigInt(last.version) > BigInt(props.run.version)) known.current = [];
        const state = await readHistory(props.run.id, known.current, signal);
        known.current = state.entries;
        return state;
    });
    const first = useRef(true);
    useEffect(() => {
        if (!first.current) history.reload();
        first.current = false;
    }, [props.run.version]);
    return (
        <Panel title="Timeline" aside={history.data && <span class="faint">{formatCount(String(history.data.entries.length))} {history.data.next ? "entries so far" : "entries"}</span>}>
            {history.problem && <ProblemBox problem={history.problem} retry={history.reload} isStale={history.data !== undefined} />}
            {!history.data && history.isLoading && <Loading />}
            {history.data?.entries.length === 0 && <Empty title="The history of this run is no longer kept." />}
            {history.data && <Timeline history={history.data.entries} isOpen={!isFinished(props.run) && history.data.next === null} />}
            {history.data?.next && <button type="button" onClick={history.reload} disabled={history.isLoading}>Later entries</button>}
        </Panel>
    );
}

function Facts(props: { run: RunDetail }) {
    const { run } = props;
    const now = useNow();
    return (
        <Panel title="Facts">
            <dl class="terms">
                <Term name="Run"><code>{run.id}</code> <CopyButton text={run.id} label="run id" /></Term>
                <Term name="Status">{run.status}{run.visit > 1 && <span class="faint"> visit {run.visit}</span>}</Term>
                <Term name="In it since">{formatTime(run.entered_at)} <span class="faint"><When at={run.entered_at} now={now} /></span></Term>
                <Term name="Created">{formatTime(run.created_at)} <span class="faint"><When at={run.created_at} now={now} /></span></Term>
                <Term name="Updated">{formatTime(run.updated_at)} <span class="faint"><When at={run.updated_at} now={now} /></span></Term>
                {run.wake_at && <Term name="Wakes">{formatTime(run.wake_at)} <span class="faint"><When at={run.wake_at} now={now} /></span></Term>}
                {run.resume_at && <Term name="Resumes">{formatTime(run.resume_at)} <span class="faint"><When at={run.resume_at} now={now} /></span></Term>}
                {run.deadlines.map((one) => <Term key={one.timeout} name={`Timeout “${one.timeout}”`}>{formatTime(one.at)}{one.attempt > 0 && <span class="faint"> {one.attempt} failed attempts</span>}</Term>)}
                {run.requested_by && <Term name="Last changed by">{run.requested_by}</Term>}
                {run.reason && <Term name="Reason">{run.reason}</Term>}
                <Term name="Version">{formatCount(run.version)} <span class="faint">object schema {run.object_version}</span></Term>
                {run.parent && <Term name="Parent"><a href={linkTo(["runs", run.parent])}><code>{run.parent}</code></a></Term>}
                {run.trace_parent && <Term name="Trace"><code>{run.trace_parent}</code> <CopyButton text={run.trace_parent} label="trace parent" /></Term>}
                {Object.entries(run.attributes).map(([name, value]) => <Term key={`attribute ${name}`} name={name}>{value === null || value === "" ? <span class="faint">{value === null ? "none" : "empty"}</span> : String(value)}</Term>)}
            </dl>
        </Panel>
    );
}

function Effects(props: { run: RunDetail }) {
    if (props.run.effects.length === 0) return null;
    return (
        <Panel title="Effects" aside={<span class="faint">recorded, not made again</span>}>
            <ul class="plain">{props.run.effects.map((one) => <li key={`${one.name}/${one.for_run}`}><code>{one.name}</code> <span class="faint">{one.for_run ? "once a run" : "in this visit"}</span></li>)}</ul>
        </Panel>
    );
}

function Children(props: { run: RunDetail }) {
    const children = useResource(`children/${props.run.id}`, (signal) => read<RunPage>(`runs?parent=${pathOf(props.run.id)}&limit=10`, signal));
    const version = useRef(props.run.version);
    useEffect(() => {
        if (version.current !== props.run.version) children.reload();
        version.current = props.run.version;
    }, [props.run.version]);
    const runs = children.data?.runs ?? [];
    if (children.problem) return <Panel title="Children"><ProblemBox problem={children.problem} retry={children.reload} /></Panel>;
    if (runs.length === 0 && (children.data?.complete ?? true)) return null;
    return (
        <Panel title="Children" aside={<a href={linkTo(["runs"], { parent: props.run.id })}>All children</a>}>
            {runs.length === 0 && <p class="faint">None among the newest {children.data?.examined} runs.</p>}
            <ul class="plain">{runs.map((one: Run) => (
                <li key={one.id} class="child"><RunState run={one} /> <a href={linkTo(["runs", one.id])}>{one.foreign_id}</a> <span class="faint">{one.workflow} · {one.status}</span></li>
            ))}</ul>
        </Panel>
    );
}

function statusesOf(workflow: Workflow | undefined): StatusDefinition[] {
    const definitions = workflow?.definitions ?? [];
    return definitions[definitions.length - 1]?.statuses ?? []; // the newest is the last
}

function Found(props: { run: RunDetail; reload: () => void; isRemoved: boolean }) {
    const { run } = props;
    const { abilities } = useApp();
    const now = useNow();
    useTitle(`${run.foreign_id} · ${run.workflow}`);
    const workflow = useResource(`workflow/${run.workflow}`, (signal) => read<Workflow>(`workflows/${pathOf(run.workflow)}`, signal));
    const statuses = statusesOf(workflow.data);
    const status = statuses.find((one) => one.status_number === run.status_number);
    const explanation = explain(run, status, now);
    const mayRead = abilities.may("get", "/runs/{run}/object");
    return (
        <>
            <div class="page-head">
                <div class="run-title">
                    <p class="crumbs"><a href={linkTo(["runs"], { workflow: run.workflow })}>{run.workflow}</a></p>
                    <h1>{run.foreign_id}</h1>
                </div>
                <RunState run={run} />
            </div>
            {props.isRemoved && <div class="problem" role="alert"><p>The run has been removed from the store. What you see is from before.</p></div>}
            <div class={`explanation tone-${explanation.tone}`} aria-live="polite">{explanation.text}</div>
            {!props.isRemoved && <RunActions run={run} status={status} statuses={statuses} changed={props.reload} />}
            <div class="columns">
                <div>
                    <HistoryPanel run={run} />
                    {mayRead && <MessagesPanel run={run} />}
                </div>
                <div>
                    <Facts run={run} />
                    {mayRead ? <ObjectPanel run={run} /> : <Panel title="Object"><Denied text="You may not see objects and payloads." needs={abilities.needs("get", "/runs/{run}/object")} /></Panel>}
                    <Effects run={run} />
                    <Children run={run} />
                </div>
            </div>
        </>
    );
}

export function RunPageView(props: { name: string }) {
    const run = useResource(`run/${props.name}`, (signal) => read<RunDetail>(`runs/${pathOf(props.name)}`, signal));
    const [removed, setRemoved] = useState("");
    const id = run.data?.id ?? null;
    usePageStream(id && removed !== id ? `run=${id}` : null, {
        run: (data) => {
            if ((JSON.parse(data) as Run).version !== run.data?.version) run.reload();
        },
        reset: run.reload,
        removed: () => id && setRemoved(id),
    }, run.problem ? run.reload : () => {});
    if (run.data) return <>{run.problem && <ProblemBox problem={run.problem} retry={run.reload} isStale />}<Found key={run.data.id} run={run.data} reload={run.reload} isRemoved={removed === run.data.id} /></>;
    return (
        <>
            <div class="page-head"><h1>Run</h1></div>
            {run.problem ? <ProblemBox problem={run.problem} retry={run.reload} /> : <Loading lines={8} />}
            {run.problem?.isAbsent && <p><Badge tone="idle">Hint</Badge> Finished runs are removed after some time, if their workflow says so.</p>}
        </>
    );
}
