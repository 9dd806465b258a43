import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isCommandKey, useApp, usePageStream, useTitle } from "../app";
import { read } from "../api";
import { Empty, Loading, ProblemBox, RunState, When } from "../parts/basics";
import { useResource } from "../resource";
import { go, linkTo, type Place } from "../router";
import { formatTime, useNow } from "../time";
import { noteOf } from "../words";
import type { Run, RunPage } from "../types";
import { filterOf, RunsFilter, type Filter } from "./runs_filter";

const pageSize = 50;
const refreshInterval = 5_000;

interface Row { run: Run; isGone: boolean } ///< gone: it does not match the filter any longer

/** Brings new states into the rows that are shown. Rows keep their places, whatever happens to the runs. */
export function merge(rows: Row[], fresh: RunPage, isNewestFirst: boolean): Row[] {
    const found = new Map(fresh.runs.map((run) => [run.id, run]));
    const last = fresh.runs[fresh.runs.length - 1];
    return rows.map((row) => {
        const run = found.get(row.run.id);
        if (run) return { run, isGone: false };
        // New runs may have pushed the row from the page: then nothing is known about it.
        const isInside = last !== undefined && (isNewestFirst ? row.run.created_at > last.created_at : row.run.created_at < last.created_at);
        return { run: row.run, isGone: row.isGone || fresh.complete || isInside };
    });
}

function queryOf(filter: Filter, after: string): string {
    const query = new URLSearchParams(filter as Record<string, string>);
    query.set("limit", String(pageSize));
    if (after) query.set("after", after);
    return query.toString();
}

function RunRow(props: { row: Row; now: number; isSelected: boolean; select: () => void; showsWorkflow: boolean }) {
    const { run, isGone } = props.row;
    return (
        <tr class={`${props.isSelected ? "selected" : ""} ${isGone ? "gone" : ""}`} onFocusIn={props.select} data-run={run.id}>
            <td class="cell-id">
                <a href={linkTo(["runs", run.id])}>{run.foreign_id}</a>
                {props.showsWorkflow && <span class="cell-workflow faint">{run.workflow}</span>}
            </td>
            <td class="cell-status">{run.status}</td>
            <td class="cell-state"><RunState run={run} />{isGone && <span class="faint"> changed</span>}</td>
            <td class="cell-note" title={noteOf(run, props.now)}>{noteOf(run, props.now)}</td>
            <td class="cell-time"><When at={run.updated_at} now={props.now} /></td>
            <td class="cell-time cell-created"><When at={run.created_at} now={props.now} /></td>
        </tr>
    );
}

function Table(props: { rows: Row[]; selected: number; select: (index: number) => void; showsWorkflow: boolean }) {
    const now = useNow();
    return (
        <table class="runs">
            <thead><tr><th>Foreign id</th><th>Status</th><th>State</th><th>Why it waits</th><th>Updated</th><th class="cell-created">Created</th></tr></thead>
            <tbody>
                {props.rows.map((row, index) => (
                    <RunRow key={row.run.id} row={row} now={now} isSelected={index === props.selected} select={() => props.select(index)} showsWorkflow={props.showsWorkflow} />
                ))}
            </tbody>
        </table>
    );
}

/** What the server has searched, when that is not all. */
function SearchNote(props: { page: RunPage }) {
    const { page } = props;
    if (page.complete || !page.searched_to) return null;
    if (page.runs.length >= pageSize) return null;
    return <p class="note" role="note">Searched as far as {formatTime(page.searched_to)}, {page.examined} runs. Further runs may match: go to the next page.</p>;
}

export function RunsPage(props: { place: Place }) {
    useTitle("Runs");
    const { announce } = useApp();
    const filter = useMemo(() => filterOf(props.place.query), [props.place.query.toString()]);
    const after = props.place.query.get("after") ?? "";
    const isNewestFirst = filter.order !== "oldest_first";
    const query = queryOf(filter, after);
    const [rows, setRows] = useState<Row[]>([]);
    const [shownQuery, setShownQuery] = useState("");
    const [selected, setSelected] = useState(-1);
    const [isFrozen, setFrozen] = useState(false);
    const page = useResource(query, (signal) => read<RunPage>(`runs?${query}`, signal), isFrozen ? 0 : refreshInterval);
    const stream = usePageStream(isFrozen ? null : "overview=true", { overview: () => isReady.current && page.reload() }, () => {});
    const isReady = useRef(false);
    isReady.current = page.data !== undefined && !page.isLoading;

    useEffect(() => {
        const fresh = page.data;
        if (!fresh) return;
        if (shownQuery !== query) {
            setRows(fresh.runs.map((run) => ({ run, isGone: false })));
            setShownQuery(query);
            setSelected(-1);
        } else if (!isFrozen) {
            setRows((before) => merge(before, fresh, isNewestFirst));
        }
    }, [page.data]);

    const isShown = shownQuery === query;
    const shownIds = new Set(rows.map((row) => row.run.id));
    const arrived = isShown && page.data && !after && isNewestFirst ? page.data.runs.filter((run) => !shownIds.has(run.id)).length : 0;
    const gone = isShown ? rows.filter((row) => row.isGone).length : 0;
    const showFresh = () => {
        if (!page.data) return;
        setRows(page.data.runs.map((run) => ({ run, isGone: false })));
        setSelected(-1);
        scrollTo(0, 0);
    };
    useEffect(() => {
        if (arrived > 0) announce(`${arrived} new runs`);
    }, [arrived]);

    const move = (step: number) => {
        const next = Math.max(0, Math.min(rows.length - 1, selected + step));
        setSelected(next);
        const id = rows[next]?.run.id;
        const link = id ? document.querySelector<HTMLElement>(`tr[data-run="${CSS.escape(id)}"] a`) : null;
        link?.focus();
        link?.closest("tr")?.scrollIntoView({ block: "nearest" });
    };
    useEffect(() => {
        const onKey = (event: KeyboardEvent) => {
            if (!isCommandKey(event)) return;
            const commands: Record<string, () => void> = {
                j: () => move(1),
                k: () => move(-1),
                f: () => setFrozen(!isFrozen),
                n: showFresh,
                Enter: () => {
                    const run = rows[selected]?.run;
                    if (run && document.activeElement === document.body) go(linkTo(["runs", run.id]));
                },
            };
            const command = commands[event.key];
            if (!command) return;
            if (event.key !== "Enter") event.preventDefault();
            command();
        };
        addEventListener("keydown", onKey);
        return () => removeEventListener("keydown", onKey);
    });

    const linkToPage = (cursor: string) => linkTo(["runs"], { ...(filter as Record<string, string>), after: cursor });
    return (
        <>
            <div class="page-head">
                <h1>Runs</h1>
                <div class="page-tools">
                    {(arrived > 0 || gone > 0) && (
                        <button type="button" class="pill" onClick={showFresh}>
                            {arrived > 0 ? `${arrived}${arrived >= pageSize ? "+" : ""} new` : "List has changed"}
                        </button>
                    )}
                    <button type="button" class="quiet" aria-pressed={isFrozen} onClick={() => setFrozen(!isFrozen)} title="f">
                        {isFrozen ? "Frozen – resume" : "Freeze"}
                    </button>
                </div>
            </div>
            <RunsFilter filter={filter} />
            {page.problem && <ProblemBox problem={page.problem} retry={page.reload} isStale={isShown && rows.length > 0} />}
            {!isShown && !page.problem && <Loading lines={8} />}
            {isShown && rows.length > 0 && <Table rows={rows} selected={selected} select={setSelected} showsWorkflow={!filter.workflow} />}
            {isShown && rows.length === 0 && page.data?.complete && (
                <Empty title={Object.keys(filter).length > 0 ? "No run matches." : "There are no runs yet."}>
                    {Object.keys(filter).length > 0 && <p><a href={linkTo(["runs"])}>Show all runs</a></p>}
                </Empty>
            )}
            {isShown && page.data && (
                <footer class="pager">
                    <SearchNote page={page.data} />
                    {after && <a href={linkToPage("")}>First page</a>}
                    {after && <button type="button" class="quiet" onClick={() => history.back()}>Back</button>}
                    {page.data.next && <a class="next" href={linkToPage(page.data.next)}>Next page</a>}
                    {stream === "lost" && <span class="faint">Rows are not current.</span>}
                </footer>
            )}
        </>
    );
}
