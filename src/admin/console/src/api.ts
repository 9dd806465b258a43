// The only way to the server: requests of the admin API, and of the session.
import { parseExact, type Exact } from "./exact";
import type { Role, Sender } from "./types";

/** An answer that is an error, or no answer. */
export class Problem extends Error {
    constructor(readonly status: number, readonly code: string, detail: string) {
        super(detail);
    }
    get isAbsent() { return this.status === 404; }
    get isDenied() { return this.status === 403 && this.code === "denied"; }
    /** The server cannot be reached, or does not accept work now: asking again may help. */
    get isPassing() { return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504; }
}

// The page is PREFIX/, whatever the prefix is.
const base = new URL(".", document.baseURI).pathname;
export const streamUrl = (query: URLSearchParams) => `${base}api/v1/stream?${query}`;

let onSignedOut: () => void = () => {};
/** Calls the function when a request finds that the session has ended. */
export function whenSignedOut(call: () => void) {
    onSignedOut = call;
}

async function problemOf(answer: Response): Promise<Problem> {
    let code = "";
    let detail = `The server answered ${answer.status} ${answer.statusText}`;
    try {
        const body = (await answer.json()) as { code?: unknown; detail?: unknown };
        if (typeof body.code === "string") code = body.code;
        if (typeof body.detail === "string" && body.detail) detail = body.detail;
    } catch {
        // A proxy on the way answers without a problem document.
    }
    return new Problem(answer.status, code, detail);
}

async function send(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
        answer = await fetch(base + path, { credentials: "same-origin", redirect: "error", cache: "no-store", ...init });
    } catch (fault) {
        if (fault instanceof DOMException && fault.name === "AbortError") throw fault;
        throw new Problem(0, "unreachable", "The server cannot be reached.");
    }
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (problem.status === 401 && path !== "session") onSignedOut();
    throw problem;
}

export function pathOf(...parts: string[]): string {
    return parts.map((part) => encodeURIComponent(part)).join("/");
}

export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
    const answer = await send(`api/v1/${path}`, { signal: signal ?? null });
    return (await answer.json()) as T;
}

/** For answers with documents of the program, whose numbers must not change. */
export async function readExact(path: string, signal?: AbortSignal): Promise<Exact> {
    const answer = await send(`api/v1/${path}`, { signal: signal ?? null });
    return parseExact(await answer.text());
}

export interface ChangeOptions {
    reason?: string;
    version?: string;             ///< the run is refused if it has changed since
    members?: [string, string][]; ///< further members of the body: name, JSON text
}

/** Sends a change once: a repetition after a lost answer has the same key, and no second effect. */
export async function change<T>(path: string, options: ChangeOptions, key: string): Promise<T> {
    const members: [string, string][] = [...(options.members ?? [])];
    if (options.reason) members.unshift(["reason", JSON.stringify(options.reason)]);
    const headers: Record<string, string> = { "Content-Type": "application/json", "Idempotency-Key": key };
    if (options.version) headers["If-Match"] = `"${options.version}"`;
    const body = `{${members.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
    const answer = await send(`api/v1/${path}`, { method: "POST", headers, body });
    return (await answer.json()) as T;
}

export async function signIn(token: string): Promise<Sender> {
    const headers = { "Content-Type": "application/json" };
    const answer = await send("session", { method: "POST", headers, body: JSON.stringify({ token }) });
    return (await answer.json()) as Sender;
}

export async function signOut(): Promise<void> {
    await send("session", { method: "DELETE", headers: { "Content-Type": "application/json" } });
}

/** 128 random bits. crypto.randomUUID() exists only on pages that have come by TLS. */
export function makeKey(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

interface Description { paths: Record<string, Record<string, { tags?: string[] }>> }

/** Which operations the server has, and the lowest role that may use them. */
export class Abilities {
    constructor(private readonly description: Description, readonly sender: Sender) {}

    has(method: "get" | "post", path: string): boolean {
        return this.description.paths[path]?.[method] !== undefined;
    }
    needs(method: "get" | "post", path: string): Role {
        return (this.description.paths[path]?.[method]?.tags?.[0] as Role | undefined) ?? "admin";
    }
    may(method: "get" | "post", path: string): boolean {
        const order: Role[] = ["viewer", "operator", "admin"];
        return order.indexOf(this.sender.role) >= order.indexOf(this.needs(method, path));
    }
}

export async function readAbilities(): Promise<Abilities> {
    const sender = await read<Sender>("me");
    return new Abilities(await read<Description>("openapi.json"), sender);
}
