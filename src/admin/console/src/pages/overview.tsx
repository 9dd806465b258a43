import { usePageStream, useTitle } from "../app";
import { read } from "../api";
import { Badge, Count, Empty, Loading, ProblemBox } from "../parts/basics";
import { useResource, type Resource } from "../resource";
import { linkTo } from "../router";
import { sentenceOf, stateLabel, toneOf } from "../words";
import type { Capped, Overview, Status, StatusCount } from "../types";

/** Sums counts that may be capped; the sum of 64-bit texts is exact. */
function sum(counts: Capped[]): Capped {
    const total = counts.reduce((all, one) => all + BigInt(one.count), 0n);
    return { count: String(total), is_capped: counts.some((one) => one.is_capped) };
}

function Attention(props: { kind: string; title: string; help: string; count: Capped }) {
    const isNone = props.count.count === "0";
    return (
        <a class={isNone ? "attention" : `attention attention-${props.kind}`} href={linkTo(["runs"], { attention: props.kind })} title={props.help}>
            <span class="attention-count"><Count value={props.count} /></span>
            <span class="attention-title">{props.title}</span>
        </a>
    );
}

function EngineStatus(props: { status: Resource<Status> }) {
    const { data, problem, reload } = props.status;
    if (!data) return problem ? <ProblemBox problem={problem} retry={reload} /> : <div class="engine-line"><span class="faint">Asking the engine…</span></div>;
    const live = data.engines.length;
    return (
        <div class={data.ready ? "engine-line" : "engine-line engine-line-bad"} role="status">
            <Badge tone={data.ready ? "good" : "bad"}>{data.ready ? "Ready" : "Not ready"}</Badge>
            <span>{data.ready ? "Pawl accepts work." : sentenceOf(data.reason)}</span>
            <a href={linkTo(["engines"])}>{live === 0 ? "No live engine" : live === 1 ? "1 engine" : `${live} engines`}</a>
            {problem && <span class="faint">Not current: {problem.message}</span>}
        </div>
    );
}

function Bar(props: { counts: StatusCount[] }) {
    const unfinished = props.counts.filter((one) => ["Initiated", "Running", "Paused"].includes(one.run_state));
    const total = unfinished.reduce((all, one) => all + Number(one.runs), 0);
    if (total === 0) return null;
    return (
        <div class="bar" aria-hidden="true">
            {unfinished.map((one) => (
                <span key={`${one.status_number}/${one.run_state}`} class={`bar-part tone-${toneOf(one.run_state)}`}
                    style={{ flexGrow: Number(one.runs) / total }} title={`${one.status}, ${stateLabel(one.run_state)}: ${one.runs}`} />
            ))}
        </div>
    );
}

function WorkflowCard(props: { overview: Overview }) {
    const { overview } = props;
    const name = overview.workflow;
    const attention: [string, Capped][] = [
        ["failing", overview.failing],
        ["paused", { count: overview.paused, is_capped: false }],
        ["overdue", overview.overdue],
    ];
    return (
        <article class="card">
            <header class="card-head">
                <h2><a href={linkTo(["runs"], { workflow: name })}>{name}</a></h2>
                {!overview.has_engine && <Badge tone={overview.unfinished === "0" ? "idle" : "bad"}>No engine</Badge>}
                <span class="card-attention">
                    {attention.filter(([, count]) => count.count !== "0").map(([kind, count]) => (
                        <a key={kind} class={`chip attention-${kind}`} href={linkTo(["runs"], { workflow: name, attention: kind })}><Count value={count} /> {kind}</a>
                    ))}
                </span>
            </header>
            <p class="card-totals">
                <span><strong><Count value={overview.unfinished} /></strong> unfinished</span>
                <span><strong><Count value={overview.finished} /></strong> finished</span>
            </p>
            <Bar counts={overview.counts} />
            <ul class="status-counts">
                {overview.counts.map((one) => (
                    <li key={`${one.status_number}/${one.run_state}`}>
                        <a href={linkTo(["runs"], { workflow: name, status: String(one.status_number), run_state: one.run_state })}>
                            <span class={`dot tone-${toneOf(one.run_state)}`} />
                            <span class="status-name">{one.status}</span>
                            <span class="faint">{stateLabel(one.run_state)}</span>
                            <span class="number"><Count value={one.runs} /></span>
                        </a>
                    </li>
                ))}
            </ul>
        </article>
    );
}

export function OverviewPage() {
    useTitle("Overview");
    const overview = useResource("overview", (signal) => read<{ workflows: Overview[] }>("overview", signal));
    const status = useResource("status", (signal) => read<Status>("status", signal), 5_000);
    usePageStream("overview=true", {
        overview: (data) => overview.set(() => JSON.parse(data) as { workflows: Overview[] }),
        problem: () => overview.reload(),
    }, overview.problem ? overview.reload : () => {});
    const all = overview.data?.workflows;
    return (
        <>
            <div class="page-head"><h1>Overview</h1></div>
            <EngineStatus status={status} />
            {overview.problem && <ProblemBox problem={overview.problem} retry={overview.reload} isStale={all !== undefined} />}
            {!all && overview.isLoading && <Loading lines={6} />}
            {all && (
                <>
                    <nav class="attentions" aria-label="Runs that need you">
                        <Attention kind="failing" title="failing" help="Unfinished, and the last attempt failed" count={sum(all.map((one) => one.failing))} />
                        <Attention kind="paused" title="paused" help="By an error, or by somebody" count={sum(all.map((one) => ({ count: one.paused, is_capped: false })))} />
                        <Attention kind="overdue" title="overdue" help="Due for more than a minute, and no engine has begun" count={sum(all.map((one) => one.overdue))} />
                    </nav>
                    {all.length === 0 && (
                        <Empty title="The store has no workflow yet."><p>Workflows appear here when an engine has started with them.</p></Empty>
                    )}
                    <div class="cards">{all.map((one) => <WorkflowCard key={one.workflow} overview={one} />)}</div>
                </>
            )}
        </>
    );
}
