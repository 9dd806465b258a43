// A change with its reason, and what became of it. Sent again after a lost answer, it has no second effect.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { change, pathOf, Problem, makeKey, read, type ChangeOptions } from "../api";
import type { Change, Outcome } from "../types";
import { Dialog } from "./dialog";

type Progress =
    | { phase: "asking" }
    | { phase: "sending" }
    | { phase: "failed"; problem: Problem }
    | { phase: "done"; text: string; isBad: boolean }
    | { phase: "pending"; answer: Change };

const pollInterval = 1_500;

const wordsOfOutcome: Record<string, string> = {
    handled: "Done.",
    rejected: "The run has rejected it.",
    failed: "The run could not handle it.",
    expired: "It has expired before the run could take it.",
};

/** Waits for the outcome of a message that is in the inbox of a run. */
function usePending(progress: Progress, finish: (outcome: Outcome) => void) {
    const pending = progress.phase === "pending" ? progress.answer : null;
    useEffect(() => {
        if (!pending) return;
        const abort = new AbortController();
        let timer: ReturnType<typeof setTimeout>;
        const ask = async () => {
            try {
                const outcome = await read<Outcome>(`runs/${pathOf(pending.id)}/messages/${pathOf(pending.message)}`, abort.signal);
                if (outcome.outcome !== "pending") return finish(outcome);
            } catch {
                // The outcome is asked for again; the page says what cannot be reached.
            }
            if (!abort.signal.aborted) timer = setTimeout(ask, pollInterval);
        };
        timer = setTimeout(ask, pollInterval);
        return () => {
            abort.abort();
            clearTimeout(timer);
        };
    }, [pending]);
}

export interface ChangeFormProps {
    title: string;
    verb: string;                 ///< of the button
    path: string;                 ///< below api/v1
    isDangerous?: boolean;
    options: () => ChangeOptions; ///< throws Error with a text for the user if a field is wrong
    wordsOf?: (answer: unknown) => string;
    close: () => void;
    changed: () => void;
    children?: ComponentChildren;
}

export function ChangeForm(props: ChangeFormProps) {
    const [progress, setProgress] = useState<Progress>({ phase: "asking" });
    const [reason, setReason] = useState("");
    const [fieldError, setFieldError] = useState("");
    const key = useRef(makeKey());
    usePending(progress, (outcome) => {
        const text = `${wordsOfOutcome[outcome.outcome] ?? outcome.outcome}${outcome.detail ? ` ${outcome.detail}` : ""}`;
        setProgress({ phase: "done", text, isBad: outcome.outcome !== "handled" });
        props.changed();
    });
    const submit = async (event: Event) => {
        event.preventDefault();
        let options: ChangeOptions;
        try {
            options = { ...props.options(), reason: reason.trim() };
            setFieldError("");
        } catch (fault) {
            setFieldError(fault instanceof Error ? fault.message : String(fault));
            return;
        }
        setProgress({ phase: "sending" });
        try {
            const answer = await change<Change>(props.path, options, key.current);
            if (answer.outcome === "pending") setProgress({ phase: "pending", answer });
            else setProgress({ phase: "done", text: props.wordsOf?.(answer) ?? "Done.", isBad: false });
            props.changed();
        } catch (fault) {
            const problem = fault instanceof Problem ? fault : new Problem(0, "", String(fault));
            // A refused change is over. A change without an answer may have had its effect: the same key repeats it.
            if (problem.status !== 0) key.current = makeKey();
            setProgress({ phase: "failed", problem });
        }
    };
    const isOver = progress.phase === "done" || progress.phase === "pending";
    return (
        <Dialog title={props.title} close={props.close}>
            <form onSubmit={submit} noValidate>
                <fieldset disabled={progress.phase === "sending" || isOver}>
                    {props.children}
                    <label class="field field-wide">
                        <span>Reason, which is recorded</span>
                        <textarea rows={2} value={reason} maxLength={500} onInput={(event) => setReason(event.currentTarget.value)} />
                    </label>
                </fieldset>
                <div aria-live="polite" class="change-result">
                    {fieldError && <p class="field-error">{fieldError}</p>}
                    {progress.phase === "sending" && <p>Sending; this may take some seconds…</p>}
                    {progress.phase === "failed" && (
                        <p class="field-error">
                            {progress.problem.status === 0 && "There was no answer, so it is not known whether it was done. Sent again from here, it is done once. "}
                            {progress.problem.status === 412 && "The run has changed since you opened this. Close it and look again. "}
                            {progress.problem.status !== 0 && progress.problem.message}
                        </p>
                    )}
                    {progress.phase === "pending" && <p>Stored. No engine has executed it yet; it will be executed even if you close this.</p>}
                    {progress.phase === "done" && <p class={progress.isBad ? "field-error" : "field-good"}>{progress.text}</p>}
                </div>
                <div class="dialog-buttons">
                    <button type="button" onClick={props.close}>Close</button>
                    {!isOver && (
                        <button type="submit" class={props.isDangerous ? "danger" : "primary"} disabled={progress.phase === "sending"}>
                            {progress.phase === "failed" ? "Send again" : props.verb}
                        </button>
                    )}
                </div>
            </form>
        </Dialog>
    );
}
