import { useTitle } from "../app";
import { read } from "../api";
import { Badge, Count, Empty, Loading, ProblemBox, When } from "../parts/basics";
import { DataTable } from "../parts/table";
import { useResource } from "../resource";
import { linkTo } from "../router";
import { useNow } from "../time";
import type { Schedule } from "../types";

export function SchedulesPage() {
    useTitle("Schedules");
    const now = useNow();
    const schedules = useResource("schedules", (signal) => read<{ schedules: Schedule[] }>("schedules", signal), 5_000);
    const all = schedules.data?.schedules;
    return (
        <>
            <div class="page-head"><h1>Schedules</h1></div>
            {schedules.problem && <ProblemBox problem={schedules.problem} retry={schedules.reload} isStale={all !== undefined} />}
            {!all && schedules.isLoading && <Loading />}
            {all?.length === 0 && <Empty title="There are no schedules." />}
            {all && all.length > 0 && (
                <DataTable label="Schedules" rows={all} keyOf={(one) => `${one.workflow}/${one.name}`} columns={[
                    { name: "Schedule", cell: (one) => <><strong>{one.name}</strong> {one.is_paused && <Badge tone="warn">Paused</Badge>}{one.last_error && <p class="field-error">{one.last_error}</p>}</> },
                    { name: "Workflow", cell: (one) => <a href={linkTo(["runs"], { workflow: one.workflow })}>{one.workflow}</a> },
                    { name: "When", cell: (one) => <><code>{one.when}</code> <span class="faint">{one.zone}</span></> },
                    { name: "Next", cell: (one) => one.is_paused ? <span class="faint">when resumed</span> : <When at={one.next_slot} now={now} none="never" /> },
                    { name: "Last", cell: (one) => one.last_run ? <a href={linkTo(["runs", one.last_run])}><When at={one.last_slot} now={now} /></a> : <When at={one.last_slot} now={now} none="not yet" /> },
                    { name: "Fired", isNumber: true, cell: (one) => <Count value={one.fired} /> },
                    { name: "Skipped", isNumber: true, cell: (one) => <Count value={one.skipped} /> },
                    { name: "Overlap", cell: (one) => <>{one.overlap}<span class="faint">, catch up {one.catch_up}</span></> },
                ]} />
            )}
        </>
    );
}
