// Each page: below each prefix, with hostile texts, in both themes, on small and large screens.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { findRun, Host, hostile, largeNumber, launchBrowser, openPage, prefixes } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let host;
let browser;
let views;

before(async () => {
    host = await Host.start();
    browser = await launchBrowser();
    const run = (workflow, id) => findRun(host, workflow, id).then((found) => `#/runs/${found}`);
    // Of each view: its heading, and a text that it shows when it has read everything.
    views = [
        ["", "Overview", "awaiting_payment"],
        ["#/runs?workflow=orders", "Runs", "held order"],
        ["#/runs?attention=paused", "Runs", "unknown customer"],
        [await run("orders", hostile), hostile, largeNumber],
        [await run("orders", "failing order"), "failing order", "further failed attempts"],
        [await run("orders", "held order"), "held order", "number 2"],
        [await run("orders", "order-2001"), "order-2001", "All children"],
        ["#/schedules", "Schedules", "Europe/Berlin"],
        ["#/connectors", "Connectors and dead letters", "pawl.dead-letter/bank"],
        ["#/dead-letters/pawl.dead-letter%2Fbank", "pawl.dead-letter/bank", "no order has this payment"],
        ["#/engines", "Engines", "answers this page"],
        ["#/audit", "Audit", ""],
    ];
});
after(async () => {
    await browser?.close();
    await host?.stop();
});

async function openView(opened, [view, heading, text]) {
    await opened.goto(view);
    await opened.page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
    if (text) await opened.page.getByText(text).first().waitFor();
}

for (const prefix of prefixes) {
    test(`each page opens below the prefix '${prefix}'`, async () => {
        for (const view of views) {
            const opened = await openPage(browser, host, { role: "admin", prefix });
            await openView(opened, view);
            assert.match(await opened.page.title(), / · Pawl$/);
            await opened.close();
        }
    });
}

test("the prefix without a slash leads to the console", async () => {
    const opened = await openPage(browser, host, { role: "viewer", prefix: "/ops/pawl" });
    await opened.page.goto(`${host.url}/ops/pawl`);
    await opened.page.getByRole("heading", { name: "Overview" }).waitFor();
    await opened.close();
});

test("hostile texts stay texts", async () => {
    const opened = await openPage(browser, host, { role: "admin" });
    for (const view of views) {
        await openView(opened, view);
        await opened.page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
        const count = await opened.page.evaluate(() => document.querySelectorAll("main img, main script, main b").length);
        assert.equal(count, 0, view[0]);
    }
    for (const value of [hostile, "%", "%zz", "../../x", "a/b?c#d"]) {
        await opened.goto(`#/runs?foreign_id=${encodeURIComponent(value)}`);
        await opened.page.getByLabel("Foreign id or run id").and(opened.page.locator(`input`)).waitFor();
    }
    await opened.close();
});

test("a hostile address is an error, and no page breaks", async () => {
    const opened = await openPage(browser, host, { role: "admin", allowed: ["404", "400", "422"] });
    for (const view of [`#/runs/${encodeURIComponent(hostile)}`, "#/runs/%zz", "#/runs?attention=%3Cb%3E", "#/runs?after=nonsense"]) {
        await opened.goto(view);
        await opened.page.getByRole("alert").filter({ hasText: /not found|failed/i }).first().waitFor();
    }
    await opened.goto(`#/${encodeURIComponent(hostile)}`);
    await opened.page.getByText("There is no such page.").waitFor();
    await opened.close();
});

test("an object shows and copies its exact numbers", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await openView(opened, views[3]);
    const text = await opened.page.getByLabel("object", { exact: true }).innerText();
    assert.ok(text.includes(`"number": ${largeNumber}`), text);
    await opened.page.getByLabel("Find in object").fill("number");
    await opened.page.getByText("1 line", { exact: true }).waitFor();
    await opened.close();
});

test("no page is wider than the screen", async () => {
    for (const width of [360, 768, 1440]) {
        const opened = await openPage(browser, host, { role: "admin", viewport: { width, height: 800 } });
        for (const view of views) {
            await openView(opened, view);
            const excess = await opened.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(excess <= 0, `${view[0]} is ${excess} px wider than ${width}`);
        }
        await opened.close();
    }
});

for (const theme of ["light", "dark"]) {
    test(`each page is accessible, ${theme}`, async () => {
        const opened = await openPage(browser, host, { role: "admin", theme });
        for (const view of views) {
            await openView(opened, view);
            await opened.page.evaluate(axe);
            const found = await opened.page.evaluate(async () => {
                const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
                return result.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; ")}`);
            });
            assert.deepEqual(found, [], view[0]);
        }
        await opened.close();
    });
}
