// What operators change: with a reason, with an outcome, and recorded.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findRun, Host, hostile, largeNumber, launchBrowser, openPage, prefixes } from "./support.mjs";

let host;
let browser;
let hasCommands;

/** A test of a server with commands: the console offers only what the description of the API has. */
const check = (name, run) => test(name, (t) => (hasCommands ? run(t) : t.skip("the API has no commands")));

before(async () => {
    host = await Host.start();
    browser = await launchBrowser();
    const answer = await fetch(`${host.url}/api/v1/openapi.json`, { headers: { Authorization: `Bearer ${host.tokens.viewer}` } });
    hasCommands = (await answer.json()).paths["/runs/{run}/pause"] !== undefined;
});
after(async () => {
    await browser?.close();
    await host?.stop();
});

const openRun = async (opened, id) => opened.goto(`#/runs/${await findRun(host, "orders", id)}`);

/** Presses the button of an action, fills in the reason, and sends it. */
async function act(page, label, { reason = hostile, verb = label, fill = async () => {} } = {}) {
    await page.getByRole("button", { name: label, exact: true }).click();
    const dialog = page.getByRole("dialog");
    await fill(dialog);
    await dialog.getByLabel("Reason, which is recorded").fill(reason);
    await dialog.getByRole("button", { name: verb, exact: true }).click();
    return dialog;
}

async function finish(dialog) {
    await dialog.getByText("Done.", { exact: true }).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
}

for (const [index, prefix] of prefixes.entries()) {
    check(`a run is paused, resumed and cancelled below '${prefix}'`, async () => {
        const opened = await openPage(browser, host, { role: "operator", prefix });
        const { page } = opened;
        await openRun(opened, `order-${1010 + index}`);
        await finish(await act(page, "Pause"));
        await page.getByText(/^Paused by .?operator-user.? in the status/).waitFor();
        await finish(await act(page, "Resume"));
        await page.getByText(/^Waits in the status/).waitFor();
        await finish(await act(page, "Cancel", { verb: "Cancel the run", reason: "the customer has called" }));
        await page.getByText(/^Cancelled by .?operator-user/).waitFor();
        assert.equal(await page.getByRole("button", { name: "Pause", exact: true }).count(), 0);
        await opened.close();
    });
}

check("a callback reaches its run with exact numbers", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await openRun(opened, "order-1020");
    const dialog = await act(opened.page, "Send callback", {
        verb: "Send",
        fill: async (form) => {
            assert.equal(await form.getByLabel("Callback").inputValue(), "pay");
            await form.getByLabel("Payload, JSON").fill(`{"reference": "transfer", "cents": ${largeNumber}}`);
        },
    });
    await finish(dialog);
    await opened.page.getByText(/^Completed in the status/).waitFor();
    await opened.close();
});

check("a payload that is not JSON is refused in the page", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await openRun(opened, "order-1021");
    const dialog = await act(opened.page, "Send callback", { verb: "Send", fill: (form) => form.getByLabel("Payload, JSON").fill("{oops}") });
    await dialog.getByText("The payload is not JSON, at character 2.").waitFor();
    await opened.page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await opened.close();
});

check("a paused run is moved with an edited object, whose other numbers stay exact", async () => {
    const opened = await openPage(browser, host, { role: "admin" });
    const { page } = opened;
    await openRun(opened, "unknown customer");
    const dialog = await act(page, "Move", {
        fill: async (form) => {
            await form.getByLabel("Status").selectOption({ label: "checked" });
            const object = form.getByLabel("Object");
            await object.fill((await object.inputValue()).replace('"unknown"', '"Ada"'));
        },
    });
    await finish(dialog);
    await page.getByText(/^Waits in the status .?awaiting_payment/).waitFor();
    const text = await page.getByLabel("object", { exact: true }).innerText();
    assert.ok(text.includes('"customer": "Ada"') && text.includes(`"number": ${largeNumber}`), text);
    await opened.close();
});

check("a run that has changed meanwhile is not moved", async () => {
    const opened = await openPage(browser, host, { role: "admin", allowed: ["412"] });
    const { page } = opened;
    await openRun(opened, "held order");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await page.getByRole("dialog").getByLabel("Object").waitFor();
    // The page does not learn of the change before it sends the move.
    await page.route("**/move", (route) => route.continue({ headers: { ...route.request().headers(), "if-match": '"1"' } }));
    await page.getByRole("dialog").getByRole("button", { name: "Move", exact: true }).click();
    await page.getByText("The run has changed since you opened this.").waitFor();
    await opened.close();
});

check("a failing run is retried now", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await openRun(opened, "failing order");
    await finish(await act(opened.page, "Retry"));
    await opened.page.getByText(/Attempt 1 failed in the status/).waitFor();
    await opened.close();
});

check("dead letters are tried once more", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await opened.goto("#/dead-letters/pawl.dead-letter%2Fbank");
    const dialog = await act(opened.page, "Redrive");
    await dialog.getByText("0 succeeded, 1 failed again.").waitFor();
    await opened.close();
});

check("an answer that is lost is repeated with the same key", async () => {
    const opened = await openPage(browser, host, { role: "operator", allowed: ["ERR_FAILED"] });
    const { page } = opened;
    await openRun(opened, "order-1030");
    const keys = [];
    await page.route("**/pause", async (route) => {
        keys.push(route.request().headers()["idempotency-key"]);
        if (keys.length > 1) return route.continue();
        await route.fetch(); // the server has it, and the page gets no answer
        return route.abort();
    });
    const dialog = await act(page, "Pause");
    await dialog.getByText("it is not known whether it was done").waitFor();
    await dialog.getByRole("button", { name: "Send again" }).click();
    await finish(dialog);
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    await opened.close();
});

check("each role has its own actions", async () => {
    for (const [role, expected] of [["viewer", []], ["operator", ["Resume", "Send callback", "Cancel"]], ["admin", ["Resume", "Send callback", "Move", "Cancel"]]]) {
        const opened = await openPage(browser, host, { role });
        await openRun(opened, "held order");
        await opened.page.getByText(/^Paused by/).waitFor();
        if (role === "viewer") await opened.page.getByText("To change runs you need the role operator.").waitFor();
        const labels = await opened.page.locator(".actions button").allInnerTexts();
        assert.deepEqual(labels, expected, role);
        await opened.close();
    }
});

check("an admin reads who has changed what, and others are told that they may not", async () => {
    const opened = await openPage(browser, host, { role: "admin" });
    await opened.goto("#/audit");
    await opened.page.getByText("operator-user").first().waitFor();
    assert.equal(await opened.page.locator("main img, main script, main b").count(), 0);
    await opened.page.getByText("the customer has called").first().waitFor();
    await opened.close();
    const other = await openPage(browser, host, { role: "operator" });
    await other.goto("#/audit");
    await other.page.getByText("You may not see who changed what. Needs the role admin.").waitFor();
    await other.close();
});
