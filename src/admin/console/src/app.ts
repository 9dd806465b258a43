// What all pages share.
import { createContext } from "preact";
import { useContext, useEffect } from "preact/hooks";
import type { Abilities } from "./api";
import { useStream, type Connection, type Handlers } from "./stream";

export interface App {
    abilities: Abilities;
    announce: (text: string) => void;          ///< for screen readers
    showConnection: (state: Connection | null) => void;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
    const app = useContext(AppContext);
    if (!app) throw new Error("a page is outside of the frame");
    return app;
}

/** The stream of the page; the frame shows its state. */
export function usePageStream(query: string | null, handlers: Handlers, opened: () => void): Connection {
    const { showConnection } = useApp();
    const state = useStream(query, handlers, opened);
    useEffect(() => {
        showConnection(state);
        return () => showConnection(null);
    }, [state]);
    return state;
}

export function useTitle(title: string) {
    useEffect(() => {
        document.title = `${title} · Pawl`;
    }, [title]);
}

/** Whether a key press is a command, and not text for a field, a dialog or the browser. */
export function isCommandKey(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
    if (document.querySelector("dialog[open]")) return false;
    const target = event.target;
    return !(target instanceof HTMLElement && target.closest("input, textarea, select"));
}
