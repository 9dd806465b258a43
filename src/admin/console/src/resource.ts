// What a page reads, with its states: loading, present, failed, present but no longer current.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./api";

export interface Resource<T> {
    data: T | undefined;
    problem: Problem | undefined; ///< of the last attempt; the data is then that of an earlier one
    isLoading: boolean;
    reload: () => void;
    set: (change: (data: T) => T) => void;
}

/** Reads again when the key changes, on reload(), and after `every` milliseconds while the page is visible. */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, every = 0): Resource<T> {
    const [state, setState] = useState<{ key: string; data?: T; problem?: Problem; isLoading: boolean }>({ key, isLoading: true });
    const [turn, setTurn] = useState(0);
    const loader = useRef(load);
    loader.current = load;
    const reload = useCallback(() => setTurn((count) => count + 1), []);
    const set = useCallback((change: (data: T) => T) => {
        setState((before) => (before.data === undefined ? before : { ...before, data: change(before.data) }));
    }, []);
    useEffect(() => {
        const abort = new AbortController();
        let timer: ReturnType<typeof setTimeout> | undefined;
        setState((before) => (before.key === key ? { ...before, isLoading: true } : { key, isLoading: true }));
        const later = () => {
            if (every > 0) timer = setTimeout(() => (document.hidden ? later() : reload()), every);
        };
        loader.current(abort.signal).then(
            (data) => {
                if (abort.signal.aborted) return;
                setState({ key, data, isLoading: false });
                later();
            },
            (fault: unknown) => {
                if (abort.signal.aborted) return;
                const problem = fault instanceof Problem ? fault : new Problem(0, "invalid_answer", `The answer cannot be read: ${String(fault)}`);
                setState((before) => ({ ...before, problem, isLoading: false }));
                if (problem.status !== 401) later();
            },
        );
        return () => {
            abort.abort();
            clearTimeout(timer);
        };
    }, [key, turn, every]);
    const isCurrent = state.key === key;
    return {
        data: isCurrent ? state.data : undefined,
        problem: isCurrent ? state.problem : undefined,
        isLoading: !isCurrent || state.isLoading,
        reload,
        set,
    };
}
