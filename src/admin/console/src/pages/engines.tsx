import { useTitle } from "../app";
import { read } from "../api";
import { Badge, Empty, Loading, Panel, ProblemBox, When } from "../parts/basics";
import { DataTable } from "../parts/table";
import { useResource } from "../resource";
import { formatCount, useNow } from "../time";
import { sentenceOf } from "../words";
import type { Engines, Status } from "../types";

export function EnginesPage() {
    useTitle("Engines");
    const now = useNow();
    const engines = useResource("engines", (signal) => read<Engines>("engines", signal), 5_000);
    const status = useResource("status", (signal) => read<Status>("status", signal), 5_000);
    const found = engines.data;
    return (
        <>
            <div class="page-head"><h1>Engines</h1></div>
            {status.data && !status.data.ready && <div class="problem" role="alert"><p><strong>Not ready.</strong> {sentenceOf(status.data.reason)}</p></div>}
            {engines.problem && <ProblemBox problem={engines.problem} retry={engines.reload} isStale={found !== undefined} />}
            {!found && engines.isLoading && <Loading />}
            {found && found.undriven.length > 0 && status.data?.ready !== false && (
                <div class="problem" role="alert"><p><strong>No live engine</strong> has these workflows with unfinished runs: {found.undriven.join(", ")}.</p></div>
            )}
            {found && (
                <Panel title="Live engines">
                    {found.engines.length === 0 && <Empty title="No engine is alive." />}
                    {found.engines.length > 0 && (
                        <DataTable label="Live engines" rows={found.engines} keyOf={(one) => one.name} columns={[
                            { name: "Engine", cell: (one) => <><strong>{one.name}</strong> {one.is_self && <Badge tone="idle">answers this page</Badge>}</> },
                            { name: "Workflows", cell: (one) => one.workflows.join(", ") || "–" },
                            { name: "Too old for", cell: (one) => one.too_old.length === 0 ? <span class="faint">none</span> : <Badge tone="warn">{one.too_old.join(", ")}</Badge> },
                            { name: "Shards", isNumber: true, cell: (one) => formatCount(one.shards) },
                        ]} />
                    )}
                </Panel>
            )}
            {found && (
                <Panel title="Shards" aside={<span class="faint">{found.shards.length}</span>}>
                    {found.shards.length === 0 && <Empty title="No shard has an owner." />}
                    {found.shards.length > 0 && (
                        <DataTable label="Shards" rows={found.shards} keyOf={(one) => `${one.workflow}/${one.shard}`} columns={[
                            { name: "Shard", isNumber: true, cell: (one) => one.shard },
                            { name: "Workflow", cell: (one) => one.workflow || "–" },
                            { name: "Owner", cell: (one) => one.owner || <span class="faint">none</span> },
                            { name: "Epoch", isNumber: true, cell: (one) => formatCount(one.epoch) },
                            { name: "Lease ends", cell: (one) => <When at={one.until} now={now} none="without end" /> },
                        ]} />
                    )}
                </Panel>
            )}
        </>
    );
}
