// What the user prefers, kept in the browser.
import { useEffect, useState } from "preact/hooks";

export interface Settings { theme: "system" | "light" | "dark"; zone: "local" | "UTC" }

const listeners = new Set<() => void>();
const storageName = "pawl.settings";

function load(): Settings {
    let stored: Partial<Settings> = {};
    try {
        stored = (JSON.parse(localStorage.getItem(storageName) ?? "{}") ?? {}) as Partial<Settings>;
    } catch {
        // Storage that is blocked or damaged means the defaults.
    }
    return {
        theme: stored.theme === "light" || stored.theme === "dark" ? stored.theme : "system",
        zone: stored.zone === "UTC" ? "UTC" : "local",
    };
}

let current = load();

function apply() {
    document.documentElement.dataset["theme"] = current.theme;
}
apply();

export function settings(): Settings {
    return current;
}

export function changeSettings(changed: Partial<Settings>) {
    current = { ...current, ...changed };
    apply();
    try {
        localStorage.setItem(storageName, JSON.stringify(current));
    } catch {
        // They hold until the page is closed.
    }
    for (const call of listeners) call();
}

export function useSettings(): Settings {
    const [, redraw] = useState(0);
    useEffect(() => {
        const update = () => redraw((count) => count + 1);
        listeners.add(update);
        return () => void listeners.delete(update);
    }, []);
    return current;
}
