// Who sees what: signing in and out, and the three roles.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findRun, Host, launchBrowser, openPage, prefixes } from "./support.mjs";

let host;
let browser;
let held;

before(async () => {
    host = await Host.start();
    browser = await launchBrowser();
    held = await findRun(host, "orders", "held order");
});
after(async () => {
    await browser?.close();
    await host?.stop();
});

for (const prefix of prefixes) {
    test(`a token signs in and out below '${prefix}'`, async () => {
        const opened = await openPage(browser, host, { prefix, allowed: ["401"] });
        await opened.goto("#/engines");
        await opened.page.getByLabel("Token").fill("wrong");
        await opened.page.keyboard.press("Enter");
        await opened.page.getByText("This token is not valid here").waitFor();
        await opened.page.getByLabel("Token").fill(host.tokens.viewer);
        await opened.page.keyboard.press("Enter");
        await opened.page.getByRole("heading", { name: "Engines", exact: true }).waitFor();
        const [cookie] = await opened.page.context().cookies(opened.base);
        assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite, cookie.path], ["pawl_session", true, "Strict", `${prefix}/`]);
        assert.equal(await opened.page.evaluate(() => document.cookie), "");
        await opened.page.reload();
        await opened.page.getByRole("heading", { name: "Engines", exact: true }).waitFor();
        await opened.page.getByLabel("Settings of viewer-user").click();
        await opened.page.getByRole("button", { name: "Sign out" }).click();
        await opened.page.getByLabel("Token").waitFor();
        assert.deepEqual(await opened.page.context().cookies(opened.base), []);
        await opened.close();
    });
}

test("an end of the session asks for a token and returns to the view", async () => {
    const opened = await openPage(browser, host, { role: "operator", allowed: ["401"] });
    await opened.goto("#/engines");
    await opened.page.getByText("answers this page").waitFor();
    await opened.page.context().clearCookies();
    await opened.page.getByText("Your session has ended").waitFor();
    await opened.page.getByLabel("Token").fill(host.tokens.operator);
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByText("answers this page").waitFor();
    await opened.close();
});

test("a viewer sees runs without objects, and is told why", async () => {
    const opened = await openPage(browser, host, { role: "viewer" });
    await opened.goto(`#/runs/${held}`);
    await opened.page.getByText("You may not see objects and payloads. Needs the role operator.").waitFor();
    await opened.page.getByText(/Paused in .?awaiting_payment/).first().waitFor();
    assert.equal(await opened.page.getByRole("region", { name: "Pending messages" }).count(), 0);
    await opened.goto("#/dead-letters/pawl.dead-letter%2Fbank");
    await opened.page.getByText("You may not see payloads. Needs the role operator.").waitFor();
    await opened.close();
});

test("an operator sees objects and messages", async () => {
    const opened = await openPage(browser, host, { role: "operator" });
    await opened.goto(`#/runs/${held}`);
    await opened.page.getByLabel("object", { exact: true }).waitFor();
    await opened.page.getByRole("region", { name: "Pending messages" }).getByText("pay").first().waitFor();
    await opened.close();
});
