// Pages that stay open: rows that change, keys, and a server that ends under them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findRun, Host, launchBrowser, openPage } from "./support.mjs";

let host;
let browser;

before(async () => {
    host = await Host.start();
    browser = await launchBrowser();
});
after(async () => {
    await browser?.close();
    await host?.stop();
});

const firstRow = (page) => page.locator("table.runs tbody tr").first();

test("new runs wait behind a button, and no row moves", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    await opened.goto("#/runs?workflow=orders");
    await firstRow(opened.page).waitFor();
    const top = await firstRow(opened.page).innerText();
    await host.startRun("arrival-1");
    await host.startRun("arrival-2");
    await opened.page.getByRole("button", { name: "2 new" }).waitFor();
    assert.equal((await firstRow(opened.page).innerText()).split("\n")[0], top.split("\n")[0]);
    await opened.page.keyboard.press("n");
    await firstRow(opened.page).getByRole("link", { name: "arrival-2" }).waitFor();
    await opened.close();
});

test("a frozen list stays as it is", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    await opened.goto("#/runs?workflow=orders");
    await firstRow(opened.page).waitFor();
    await opened.page.keyboard.press("f");
    await opened.page.getByRole("button", { name: "Frozen – resume" }).waitFor();
    await opened.page.getByText("Not live").waitFor();
    const requests = [];
    opened.page.on("request", (request) => requests.push(request.url()));
    const before = await opened.page.locator("table.runs").innerText();
    await host.startRun("unseen");
    // Another page with the same list shows when the run has arrived.
    const other = await openPage(browser, host, { role: "viewer" });
    await other.goto("#/runs?workflow=orders");
    await other.page.getByRole("link", { name: "unseen" }).waitFor();
    await other.close();
    assert.deepEqual(requests, []);
    assert.deepEqual((await opened.page.locator("table.runs a").allInnerTexts()).length > 0 && before.includes("unseen"), false);
    await opened.page.keyboard.press("f");
    await opened.page.getByRole("button", { name: "1 new" }).waitFor();
    await opened.close();
});

test("everything can be reached by the keyboard", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    const { page } = opened;
    const heading = (name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
    await opened.goto("");
    await heading("Overview");
    for (const [key, name] of [["s", "Schedules"], ["c", "Connectors and dead letters"], ["e", "Engines"], ["a", "Audit"], ["o", "Overview"], ["r", "Runs"]]) {
        await page.keyboard.press("g");
        await page.keyboard.press(key);
        await heading(name);
    }
    await firstRow(page).waitFor();
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "search");
    await page.keyboard.type("jgs order-1007");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("order-1007");
    await page.keyboard.press("Enter");
    await firstRow(page).getByRole("link", { name: "order-1007" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await heading("order-1007");
    await page.goBack();
    await heading("Runs");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor({ state: "detached" });
    await opened.close();
});

test("pages of a list lead to all runs, each once", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    await opened.goto("#/runs?workflow=orders");
    const seen = [];
    for (;;) {
        await firstRow(opened.page).waitFor();
        const ids = await opened.page.locator("table.runs tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.run));
        seen.push(...ids);
        const next = opened.page.getByRole("link", { name: "Next page" });
        if ((await next.count()) === 0) break;
        await next.click();
        await opened.page.locator(`tr[data-run="${ids[0]}"]`).waitFor({ state: "detached" });
    }
    assert.ok(seen.length > 50, String(seen.length));
    assert.equal(new Set(seen).size, seen.length);
    await opened.close();
});

test("theme and zone hold after a reload", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    const { page } = opened;
    await opened.goto("");
    await page.getByLabel("Settings of viewer-user").click();
    await page.getByLabel("Theme").selectOption("dark");
    await page.getByLabel("Times").selectOption("UTC");
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await opened.goto(`#/runs/${await findRun(host, "orders", "held order")}`);
    await page.getByText(/\d\d:\d\d:\d\d\.\d{3} UTC/).first().waitFor();
    await opened.close();
});

test("a server that ends and starts again is noticed by open pages", async () => {
    const allowed = ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "404", "503"];
    const overview = await openPage(browser, host, { role: "viewer", allowed });
    await overview.goto("");
    await overview.page.getByText("Live", { exact: true }).waitFor();
    const runs = await openPage(browser, host, { role: "viewer", allowed });
    await runs.goto("#/runs?workflow=orders");
    await firstRow(runs.page).waitFor();
    const shown = await runs.page.locator("table.runs tbody tr").count();
    await host.kill();
    await overview.page.getByText("No connection. Trying again…").waitFor();
    await runs.page.getByRole("alert").filter({ hasText: "What you see is from before." }).waitFor();
    assert.equal(await runs.page.locator("table.runs tbody tr").count(), shown);
    await host.restart();
    await overview.page.getByText("Live", { exact: true }).waitFor({ timeout: 40_000 });
    await runs.page.getByText("Live", { exact: true }).waitFor({ timeout: 40_000 });
    await runs.page.getByRole("alert").waitFor({ state: "detached" });
    await overview.close();
    await runs.close();
});
