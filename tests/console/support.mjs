// Starts the host and a browser. A page that breaks its Content-Security-Policy, writes an error to the console, or asks another
// host for something fails its test.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { chromium } from "playwright-core";

export const prefixes = ["", "/ops/pawl"];
export const hostile = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}\u202egnitirw";
export const largeNumber = "9007199254740993";

const program = process.env.PAWL_CONSOLE_HOST;
if (!program) throw new Error("PAWL_CONSOLE_HOST must name the program console_host");

/** The server under test. It can be killed and started again at the same address. */
export class Host {
    static async start() {
        const host = new Host();
        host.folder = mkdtempSync(join(tmpdir(), "pawl-console-"));
        host.tokens = {};
        const lines = ["viewer", "operator", "admin"].map((role) => {
            host.tokens[role] = randomBytes(32).toString("base64url");
            return `${role}-user ${role} sha256:${createHash("sha256").update(host.tokens[role]).digest("hex")}\n`;
        });
        writeFileSync(join(host.folder, "tokens"), lines.join(""));
        await host.launch(0);
        return host;
    }

    async launch(port) {
        this.process = spawn(program, [join(this.folder, "tokens"), String(port)], { stdio: ["ignore", "pipe", "inherit"] });
        this.ended = new Promise((resolve) => this.process.once("exit", resolve));
        const text = await new Promise((resolve, reject) => {
            let read = "";
            this.process.stdout.on("data", (part) => {
                read += part;
                if (read.includes("\n")) resolve(read.trim());
            });
            this.process.once("error", reject);
            this.process.once("exit", (code) => reject(new Error(`console_host ended with ${code}`)));
        });
        this.url = text;
        this.port = Number(new URL(text).port);
    }

    async kill() {
        this.process.kill("SIGKILL");
        await this.ended;
    }

    async restart() {
        await this.launch(this.port);
    }

    async stop() {
        this.process.kill("SIGTERM");
        await this.ended;
        rmSync(this.folder, { recursive: true });
    }

    async startRun(id) {
        const answer = await fetch(`${this.url}/test/runs/${encodeURIComponent(id)}`, { method: "POST" });
        assert.equal(answer.status, 200);
    }
}

export function launchBrowser() {
    return chromium.launch({
        executablePath: process.env.PAWL_CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
}

/** A page with a watch over what it must not do. `allowed` are texts of console errors that the test causes. */
export async function openPage(browser, host, { role, prefix = "", viewport = { width: 1280, height: 900 }, allowed = [], theme = "light" } = {}) {
    const context = await browser.newContext({ viewport, colorScheme: theme, timezoneId: "UTC" });
    if (role)
        await context.addCookies([{ name: "pawl_session", value: host.tokens[role], domain: "127.0.0.1", path: `${prefix}/`, httpOnly: true, sameSite: "Strict" }]);
    await context.addInitScript(() => {
        globalThis.violations = [];
        addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const faults = [];
    page.on("console", (message) => {
        if (message.type() === "error" && !allowed.some((text) => message.text().includes(text))) faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => faults.push(`exception: ${error}`));
    page.on("dialog", (dialog) => {
        faults.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
    });
    page.on("request", (request) => {
        if (!request.url().startsWith(host.url)) faults.push(`foreign request: ${request.url()}`);
    });
    return {
        page,
        base: `${host.url}${prefix}/`,
        goto: (view = "") => page.goto(`${host.url}${prefix}/${view}`),
        /** Ends the page, and fails if it has done what it must not. */
        close: async () => {
            faults.push(...(await page.evaluate(() => globalThis.violations)));
            await context.close();
            assert.deepEqual(faults, []);
        },
    };
}

/** The id of the newest run of a foreign id. */
export async function findRun(host, workflow, foreignId) {
    const query = new URLSearchParams({ workflow, foreign_id: foreignId });
    const answer = await fetch(`${host.url}/api/v1/runs?${query}`, { headers: { Authorization: `Bearer ${host.tokens.admin}` } });
    const { runs } = await answer.json();
    assert.ok(runs?.length > 0, `there is no run of ${workflow} ${foreignId}`);
    return runs[0].id;
}
