// Small parts of all pages.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../api";
import { formatCount, formatDistance, formatTime } from "../time";
import { stateLabel, toneOf, type Tone } from "../words";
import type { Capped, Run } from "../types";

export function Badge(props: { tone: Tone; children: ComponentChildren }) {
    return <span class={`badge tone-${props.tone}`}>{props.children}</span>;
}

export function RunState(props: { run: Pick<Run, "run_state" | "last_error"> }) {
    const { run_state: state, last_error: error } = props.run;
    const isFailing = error !== "" && (state === "Running" || state === "Initiated");
    return <Badge tone={isFailing ? "bad" : toneOf(state)}>{isFailing ? "Failing" : stateLabel(state)}</Badge>;
}

/** The distance to now; the exact time on hover and for screen readers. */
export function When(props: { at: string | null; now: number; none?: string }) {
    if (!props.at) return <span class="faint">{props.none ?? "–"}</span>;
    return <time dateTime={props.at} title={formatTime(props.at, true)}>{formatDistance(props.at, props.now)}</time>;
}

export function Count(props: { value: string | Capped }) {
    if (typeof props.value === "string") return <>{formatCount(props.value)}</>;
    return <>{formatCount(props.value.count)}{props.value.is_capped ? "+" : ""}</>;
}

export function Empty(props: { title: string; children?: ComponentChildren }) {
    return <div class="empty"><p class="empty-title">{props.title}</p>{props.children}</div>;
}

export function Denied(props: { text: string; needs: string }) {
    return <p class="denied" role="note">{props.text} Needs the role <strong>{props.needs}</strong>.</p>;
}

export function Loading(props: { lines?: number }) {
    return (
        <div class="loading" role="status" aria-label="Loading">
            {Array.from({ length: props.lines ?? 4 }, (_, index) => <div class="loading-line" key={index} />)}
        </div>
    );
}

function headingOf(problem: Problem): string {
    if (problem.status === 0) return "No connection";
    if (problem.isDenied) return "You may not see this";
    if (problem.isAbsent) return "Not found";
    if (problem.isPassing) return "Pawl is not ready";
    return "The request failed";
}

export function ProblemBox(props: { problem: Problem; retry?: () => void; isStale?: boolean }) {
    const { problem } = props;
    return (
        <div class={`problem ${problem.isDenied || problem.isPassing ? "problem-mild" : ""}`} role="alert">
            <div>
                <strong>{headingOf(problem)}.</strong> {problem.message}
                {problem.code && <span class="code-name">{problem.code}</span>}
                {props.isStale && <p class="faint">What you see is from before.</p>}
            </div>
            {props.retry && !problem.isDenied && <button type="button" onClick={props.retry}>Try again</button>}
        </div>
    );
}

/** Puts a text into the clipboard; over plain HTTP a browser has none, and then the text is selected. */
export function CopyButton(props: { text: string; label: string }) {
    const [said, setSaid] = useState("");
    const timer = useRef<ReturnType<typeof setTimeout>>();
    useEffect(() => () => clearTimeout(timer.current), []);
    const copy = async () => {
        let answer = "Copied";
        try {
            await navigator.clipboard.writeText(props.text);
        } catch {
            const area = document.createElement("textarea");
            area.value = props.text;
            area.className = "offscreen";
            document.body.append(area);
            area.select();
            answer = document.execCommand("copy") ? "Copied" : "Not copied";
            area.remove();
        }
        setSaid(answer);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setSaid(""), 1500);
    };
    return (
        <button type="button" class="quiet copy" onClick={copy} aria-label={`Copy ${props.label}`}>
            <span aria-live="polite">{said || "Copy"}</span>
        </button>
    );
}

/** A titled part of a page. */
export function Panel(props: { title: string; aside?: ComponentChildren; children: ComponentChildren; id?: string }) {
    return (
        <section class="panel" aria-label={props.title} id={props.id}>
            <header class="panel-head"><h2>{props.title}</h2><div class="panel-aside">{props.aside}</div></header>
            {props.children}
        </section>
    );
}

export function Term(props: { name: string; children: ComponentChildren }) {
    return <div class="term"><dt>{props.name}</dt><dd>{props.children}</dd></div>;
}
