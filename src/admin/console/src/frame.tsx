// Navigation, the keyboard, settings, and the state of the connection.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isCommandKey } from "./app";
import { signOut, type Abilities } from "./api";
import { Help } from "./parts/help";
import { go, linkTo } from "./router";
import { changeSettings, useSettings, type Settings } from "./settings";
import type { Connection } from "./stream";

interface Entry { page: string; label: string; key: string }

const entries: Entry[] = [
    { page: "overview", label: "Overview", key: "o" },
    { page: "runs", label: "Runs", key: "r" },
    { page: "schedules", label: "Schedules", key: "s" },
    { page: "connectors", label: "Connectors", key: "c" },
    { page: "engines", label: "Engines", key: "e" },
    { page: "audit", label: "Audit", key: "a" },
];
const linkOfPage = (page: string) => linkTo(page === "overview" ? [] : [page]);
const sequenceTime = 1_500; // between "g" and the second key

function useCommands(showHelp: () => void) {
    const started = useRef(-Infinity);
    useEffect(() => {
        const focusSearch = () => {
            const field = document.getElementById("search");
            if (field) field.focus();
            else {
                go(linkTo(["runs"]));
                setTimeout(() => document.getElementById("search")?.focus(), 50);
            }
        };
        const onKey = (event: KeyboardEvent) => {
            if (event.key === "Escape" && event.target instanceof HTMLElement && event.target.matches("input, select")) event.target.blur();
            if (!isCommandKey(event)) return;
            if (event.timeStamp - started.current < sequenceTime) {
                started.current = -Infinity;
                const entry = entries.find((one) => one.key === event.key);
                if (entry) {
                    event.preventDefault();
                    go(linkOfPage(entry.page));
                }
                return;
            }
            if (event.key === "g") started.current = event.timeStamp;
            else if (event.key === "?") showHelp();
            else if (event.key === "/") {
                event.preventDefault();
                focusSearch();
            }
        };
        addEventListener("keydown", onKey, true);
        return () => removeEventListener("keydown", onKey, true);
    }, []);
}

const connectionWords: Record<Connection, string> = {
    connecting: "Connecting…",
    live: "Live",
    lost: "No connection. Trying again…",
    paused: "Not live",
};

function SettingsMenu(props: { abilities: Abilities; showHelp: () => void; signedOut: () => void }) {
    const current = useSettings();
    const { sender } = props.abilities;
    const leave = async () => {
        try {
            await signOut();
        } finally {
            props.signedOut();
        }
    };
    return (
        <details class="menu">
            <summary aria-label={`Settings of ${sender.name}`}><span class="menu-name">{sender.name}</span></summary>
            <div class="menu-body">
                <p><strong>{sender.name}</strong> <span class="faint">{sender.role}, by {sender.method}</span></p>
                <label class="field"><span>Theme</span>
                    <select value={current.theme} onChange={(event) => changeSettings({ theme: event.currentTarget.value as Settings["theme"] })}>
                        <option value="system">As the system</option><option value="light">Light</option><option value="dark">Dark</option>
                    </select>
                </label>
                <label class="field"><span>Times</span>
                    <select value={current.zone} onChange={(event) => changeSettings({ zone: event.currentTarget.value as Settings["zone"] })}>
                        <option value="local">Local time</option><option value="UTC">UTC</option>
                    </select>
                </label>
                <button type="button" class="quiet" onClick={props.showHelp}>Keyboard (?)</button>
                {sender.method === "token" && <button type="button" class="quiet" onClick={leave}>Sign out</button>}
            </div>
        </details>
    );
}

export function Frame(props: { page: string; abilities: Abilities; connection: Connection | null; announcement: string; signedOut: () => void; children: ComponentChildren }) {
    const [showsHelp, setShowsHelp] = useState(false);
    useCommands(() => setShowsHelp(true));
    const main = useRef<HTMLElement>(null);
    const nav = useRef<HTMLElement>(null);
    useEffect(() => {
        // A narrow screen shows a part of the pages.
        nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }, [props.page]);
    return (
        <div class="frame">
            <button type="button" class="skip" onClick={() => main.current?.focus()}>Skip to the content</button>
            <header class="topbar">
                <a class="brand" href={linkTo([])}>Pawl</a>
                <nav ref={nav} aria-label="Pages">
                    {entries.map((one) => (
                        <a key={one.page} href={linkOfPage(one.page)} aria-current={props.page === one.page ? "page" : undefined} title={`g ${one.key}`}>{one.label}</a>
                    ))}
                </nav>
                <div class="topbar-tools">
                    {props.connection && <span class={`connection connection-${props.connection}`} role="status">{connectionWords[props.connection]}</span>}
                    <SettingsMenu abilities={props.abilities} showHelp={() => setShowsHelp(true)} signedOut={props.signedOut} />
                </div>
            </header>
            <main ref={main} tabIndex={-1}>{props.children}</main>
            <div class="offscreen" aria-live="polite">{props.announcement}</div>
            {showsHelp && <Help close={() => setShowsHelp(false)} />}
        </div>
    );
}
