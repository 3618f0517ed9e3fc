// dpgui.toml changed on the page: what can be, what cannot, somebody who was faster, and a new token.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { narrow, say, serve, shots, until, visitor } from "./support.mjs";

export async function settings(browser) {
  const root = mkdtempSync(join(tmpdir(), "dpgui-settings-"));
  const file = join(root, "dpgui.toml");
  writeFileSync(file, "# mine\n[cache]\nlimit = \"10 GB\" # for now\n");
  const server = await serve(root);
  const text = () => readFileSync(file, "utf8");
  try {
    const { context, watch } = await visitor(browser, server);
    // Of the save that is refused.
    watch.expected = /401|409|WebSocket/;
    const tab = await context.newPage();
    await tab.goto(server.link);
    await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await tab.goto(`${server.origin}/settings`);

    say("what cannot be is said at its field, and not saved");
    const limit = tab.getByLabel("Download cache");
    assert.equal(await limit.inputValue(), "10 GB");
    await limit.fill("much");
    await tab.getByText("is not a size").waitFor();
    const save = tab.getByRole("button", { name: "Save", exact: true });
    assert.equal(await save.getAttribute("aria-disabled"), "true");
    await narrow(tab, "settings-wrong");

    say("what can be is saved, and the comments stay");
    await limit.fill("20 GB");
    await tab.getByLabel("Port").fill("6000");
    await tab.getByLabel("node", { exact: true }).fill("https://mirror.example/node.tar.gz");
    await until("it can be saved", async () => (await save.getAttribute("aria-disabled")) === "false");
    await save.click();
    await tab.getByText("Saved in dpgui.toml").waitFor();
    const saved = "# mine\n[cache]\nlimit = \"20 GB\" # for now\n\n[ui]\nport = 6000\n\n[sources.node]\nplaces = [\"https://mirror.example/node.tar.gz\"]\n";
    assert.equal(text(), saved);
    await tab.screenshot({ path: join(shots, "settings-saved.png"), fullPage: true });

    say("who was faster keeps what he wrote, and what is typed here is not lost");
    await limit.fill("40 GB");
    writeFileSync(file, `${saved}# by somebody else\n`);
    await until("it can be saved", async () => (await save.getAttribute("aria-disabled")) === "false");
    await save.click();
    await tab.getByText("changed by somebody else").first().waitFor();
    assert.equal(text(), `${saved}# by somebody else\n`);
    assert.equal(await limit.inputValue(), "40 GB");
    await narrow(tab, "settings-conflict");
    // The file was read again by now.
    await until("the newer one is shown", () => tab.locator("pre").getByText("# by somebody else").isVisible());
    await save.click();
    await until("it is saved", () => text().includes("40 GB"));
    assert(text().endsWith("# by somebody else\n"), text());

    say("a new token leaves this browser in and no other");
    const other = await visitor(browser, server);
    const cookies = await context.cookies();
    await other.context.addCookies(cookies);
    const there = await other.context.newPage();
    await there.goto(`${server.origin}/settings`);
    await there.getByLabel("Port").waitFor();
    await tab.getByRole("button", { name: "New token…" }).click();
    await tab.screenshot({ path: join(shots, "settings-token.png") });
    await tab.getByRole("dialog").getByRole("button", { name: "Make a new token" }).click();
    await tab.getByText("There is a new token").waitFor();
    await tab.reload();
    await tab.getByLabel("Port").waitFor();
    await there.getByText("dpgui ui --link").first().waitFor();
    watch.none("settings");
    await other.context.close();
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    rmSync(root, { recursive: true, force: true });
  }
}
