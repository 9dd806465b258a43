// Server-sent events. A hidden page closes its stream, because a browser has six connections to a host over HTTP/1.1.
import { useEffect, useRef, useState } from "preact/hooks";
import { streamUrl } from "./api";

export type Connection = "connecting" | "live" | "lost" | "paused";
export type Handlers = Record<string, (data: string) => void>;

const firstDelay = 1_000;
const longestDelay = 30_000;

/** Opens the stream while the page is visible. `opened` is called each time, as events may have been missed. */
export function useStream(query: string | null, handlers: Handlers, opened: () => void): Connection {
    const [state, setState] = useState<Connection>("connecting");
    const latest = useRef({ handlers, opened });
    latest.current = { handlers, opened };
    useEffect(() => {
        if (query === null) {
            setState("paused");
            return;
        }
        let source: EventSource | null = null;
        let timer: ReturnType<typeof setTimeout> | undefined;
        let delay = firstDelay;
        const close = () => {
            clearTimeout(timer);
            source?.close();
            source = null;
        };
        const open = () => {
            close();
            if (document.hidden) {
                setState("paused");
                return;
            }
            setState((before) => (before === "lost" ? "lost" : "connecting"));
            const current = new EventSource(streamUrl(new URLSearchParams(query)));
            source = current;
            current.onopen = () => {
                delay = firstDelay;
                setState("live");
                latest.current.opened();
            };
            current.onerror = () => {
                // The browser's own attempts end at an answer that is not a stream, as of a proxy.
                close();
                setState("lost");
                timer = setTimeout(open, delay);
                delay = Math.min(delay * 2, longestDelay);
            };
            for (const name of Object.keys(latest.current.handlers))
                current.addEventListener(name, (event) => {
                    latest.current.handlers[name]?.((event as MessageEvent<string>).data);
                });
        };
        open();
        document.addEventListener("visibilitychange", open);
        return () => {
            document.removeEventListener("visibilitychange", open);
            close();
        };
    }, [query]);
    return state;
}
