import { useApp, useTitle } from "../app";
import { read } from "../api";
import { Badge, Denied, Empty, Loading, ProblemBox } from "../parts/basics";
import { DataTable } from "../parts/table";
import { useResource } from "../resource";
import { linkTo, type Place } from "../router";
import { formatTime } from "../time";
import type { AuditEntry } from "../types";

interface AuditPageData { audit: AuditEntry[]; next: string | null }

function toneOf(outcome: string) {
    if (outcome === "refused" || outcome === "failed" || outcome === "rejected") return "bad";
    return outcome === "pending" || outcome === "requested" ? "busy" : "good";
}

function Entries(props: { after: string }) {
    const page = useResource(`audit/${props.after}`, (signal) => read<AuditPageData>(`audit?after=${encodeURIComponent(props.after)}&limit=100`, signal));
    const all = page.data?.audit;
    return (
        <>
            {page.problem && <ProblemBox problem={page.problem} retry={page.reload} isStale={all !== undefined} />}
            {!all && page.isLoading && <Loading lines={8} />}
            {all?.length === 0 && <Empty title={props.after === "0" ? "Nothing has been changed yet." : "There are no later entries."} />}
            {all && all.length > 0 && (
                <DataTable label="Changes" rows={all} keyOf={(one) => one.position} columns={[
                    { name: "At", cell: (one) => formatTime(one.at) },
                    { name: "Who", cell: (one) => <><strong>{one.requested_by}</strong> <span class="faint">{one.method}{one.address && ` from ${one.address}`}</span></> },
                    { name: "Action", cell: (one) => one.action },
                    { name: "Target", cell: (one) => one.run ? <a href={linkTo(["runs", one.run])}>{one.foreign_id || one.run}</a> : <>{one.target || one.foreign_id}</> },
                    { name: "Workflow", cell: (one) => one.workflow || "–" },
                    { name: "Reason", cell: (one) => one.reason || <span class="faint">none</span> },
                    { name: "Outcome", cell: (one) => <><Badge tone={toneOf(one.outcome)}>{one.outcome}</Badge> <span class="faint">{one.error || one.detail}</span></> },
                ]} />
            )}
            <footer class="pager">
                {props.after !== "0" && <a href={linkTo(["audit"])}>Oldest</a>}
                {page.data && <button type="button" class="quiet" onClick={page.reload}>Reload</button>}
                {page.data?.next && <a class="next" href={linkTo(["audit"], { after: page.data.next })}>Later entries</a>}
            </footer>
        </>
    );
}

export function AuditPage(props: { place: Place }) {
    useTitle("Audit");
    const { abilities } = useApp();
    const isPresent = abilities.has("get", "/audit");
    const mayRead = abilities.may("get", "/audit");
    return (
        <>
            <div class="page-head"><h1>Audit</h1><span class="faint">the oldest entries first</span></div>
            {!isPresent && <Empty title="This server keeps no audit log." />}
            {isPresent && !mayRead && <Denied text="You may not see who changed what." needs={abilities.needs("get", "/audit")} />}
            {isPresent && mayRead && <Entries after={props.place.query.get("after") ?? "0"} />}
        </>
    );
}
