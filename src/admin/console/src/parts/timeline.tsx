// The history of a run. Idle time is one line, and a long row of failed attempts too.
import { useState } from "preact/hooks";
import type { HistoryEntry } from "../types";
import { formatDuration, formatTime, useNow } from "../time";
import { describe } from "../words";

const idleFrom = 10_000; // milliseconds between two entries
const shownOfGroup = 2;  // attempts at each end of a row of failed ones

type Item =
    | { kind: "entry"; entry: HistoryEntry }
    | { kind: "idle"; key: string; milliseconds: number }
    | { kind: "group"; key: string; entries: HistoryEntry[] };

const isRepeated = (entry: HistoryEntry | undefined) => entry?.kind === "attempt_failed" || entry?.kind === "repeated";

/** Entries with what lies between them. */
export function itemsOf(history: HistoryEntry[]): Item[] {
    const items: Item[] = [];
    for (let at = 0; at < history.length; ) {
        let end = at + 1;
        while (isRepeated(history[at]) && end < history.length && history[end]!.kind === history[at]!.kind && history[end]!.to_number === history[at]!.to_number) ++end;
        const block = history.slice(at, end);
        const before = history[at - 1];
        if (before) addIdle(items, before, block[0]!);
        if (block.length > 2 * shownOfGroup + 1) {
            addEntries(items, block.slice(0, shownOfGroup));
            const hidden = block.slice(shownOfGroup, -shownOfGroup);
            items.push({ kind: "group", key: hidden[0]!.version, entries: hidden });
            addEntries(items, block.slice(-shownOfGroup));
        } else {
            addEntries(items, block);
        }
        at = end;
    }
    return items;
}

function addEntries(items: Item[], entries: HistoryEntry[]) {
    entries.forEach((entry, index) => {
        const before = entries[index - 1];
        if (before) addIdle(items, before, entry);
        items.push({ kind: "entry", entry });
    });
}

function addIdle(items: Item[], before: HistoryEntry, after: HistoryEntry) {
    const milliseconds = Date.parse(after.at) - Date.parse(before.at);
    if (milliseconds >= idleFrom) items.push({ kind: "idle", key: `idle-${after.version}`, milliseconds });
}

function Entry(props: { entry: HistoryEntry }) {
    const { entry } = props;
    const { text, tone } = describe(entry);
    return (
        <li class="event">
            <span class={`dot tone-${tone}`} />
            <div class="event-body">
                <span class="event-text">{text}</span>
                {entry.error && <span class={tone === "bad" ? "event-error" : "event-note"}>{entry.error}</span>}
            </div>
            <time class="event-time" dateTime={entry.at} title={`Version ${entry.version}`}>{formatTime(entry.at, true)}</time>
        </li>
    );
}

function Group(props: { entries: HistoryEntry[] }) {
    const [isOpen, setOpen] = useState(false);
    if (isOpen) return <>{props.entries.map((entry) => <Entry key={entry.version} entry={entry} />)}</>;
    const first = props.entries[0]!;
    const last = props.entries[props.entries.length - 1]!;
    const span = formatDuration(Date.parse(last.at) - Date.parse(first.at));
    const noun = first.kind === "attempt_failed" ? "failed attempts" : "repetitions";
    return <li class="event event-idle"><button type="button" class="quiet" onClick={() => setOpen(true)}>{props.entries.length} further {noun} in {span}: show</button></li>;
}

export function Timeline(props: { history: HistoryEntry[]; isOpen: boolean }) {
    const now = useNow();
    const last = props.history[props.history.length - 1];
    const since = last ? now - Date.parse(last.at) : 0;
    return (
        <ol class="timeline">
            {itemsOf(props.history).map((item) => {
                if (item.kind === "entry") return <Entry key={item.entry.version} entry={item.entry} />;
                if (item.kind === "group") return <Group key={`group-${item.key}`} entries={item.entries} />;
                return <li key={item.key} class="event event-idle"><span>{formatDuration(item.milliseconds)}</span></li>;
            })}
            {props.isOpen && since >= idleFrom && <li class="event event-idle"><span>{formatDuration(since)} until now</span></li>}
        </ol>
    );
}
