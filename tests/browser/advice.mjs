// What to do next is something that the page has, or a command to paste; never a flag that nobody can type here.
import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab } from "./lab.mjs";
import { narrow, say, serve, shots, until, visitor } from "./support.mjs";

export async function advice(browser) {
  const lab = new Lab();
  // An update that was made long ago.
  lab.write(".dpgui/previous/venv/file", "old");
  const endless = { STEPS: "0", STEP_TIME: "0.1", CHECKPOINT: "3" };
  const server = await serve(lab.root, 0, lab.env(endless));
  try {
    const { context, watch } = await visitor(browser, server);
    watch.expected = /409/;
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.origin });
    const tab = await context.newPage();
    await tab.goto(server.link);

    say("what the doctor advises is a button of this page, or a command that works from any folder");
    const doctor = tab.getByRole("region", { name: /^Doctor: / });
    const command = doctor.locator(".to-paste").first();
    await command.waitFor();
    await command.getByRole("button", { name: "Copy the command" }).click();
    assert.equal(await tab.evaluate(() => navigator.clipboard.readText()), (await command.innerText()).trim().replace(/^dpgui /, `dpgui -C ${lab.root} `));
    assert.equal(await doctor.getByText("dpgui setup", { exact: true }).count(), 0, "a button of this page under the name of a command");
    await doctor.locator("strong", { hasText: "Set up" }).first().waitFor();
    await doctor.scrollIntoViewIfNeeded();
    await tab.screenshot({ path: join(shots, "advice.png") });
    await narrow(tab, "advice");

    say("a training that finds the GPUs busy is told of by the names of what stands there");
    const first = lab.train(endless);
    await until("it has a checkpoint", () => lab.run("logs", first).includes("global_step3"));
    await tab.goto(`${server.origin}/configs/tiny.toml`);
    await tab.getByRole("button", { name: "Start…" }).click();
    const dialog = tab.getByRole("dialog");
    const waits = dialog.getByLabel(/^Wait in the queue if/);
    await waits.uncheck();
    await dialog.getByRole("button", { name: "Start", exact: true }).click();
    const told = dialog.getByRole("alert");
    await told.getByText("Share the CPU with another training").waitFor();
    assert.doesNotMatch(await told.innerText(), /--/);
    await tab.screenshot({ path: join(shots, "busy.png") });
    await narrow(tab, "busy");
    await waits.check();
    await dialog.getByRole("button", { name: "Start", exact: true }).click();
    await tab.waitForURL(/\/runs\//);
    await tab.getByText("It waits for its turn").waitFor();
    const second = new URL(tab.url()).pathname.split("/").pop();

    say("and so is one that is to go on: it may wait");
    lab.run("stop", first);
    await until("the next one trains", () => lab.run("logs", second).includes("steps: 1 "));
    await tab.goto(`${server.origin}/runs/${first}`);
    await tab.getByRole("button", { name: "Resume" }).click();
    await dialog.getByRole("alert").waitFor();
    await tab.screenshot({ path: join(shots, "resume-busy.png") });
    await dialog.getByRole("button", { name: "Wait in the queue" }).click();
    await tab.getByText("It waits for its turn").waitFor();
    watch.none("advice");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}
