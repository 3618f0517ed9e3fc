// A workspace with nothing in it is set up from the page; `tests/it/ui_page.rs` makes one that knows where to fetch from.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessible, narrow, say, serve, shots, until, visitor, workspace } from "./support.mjs";

/** Notes every state that the page shows of a step, in order, and whether the setup that runs can be cancelled there. */
const note = () => {
  window.seen = {};
  window.isOffered = false;
  const look = () => {
    for (const row of document.querySelectorAll(".setup-steps li")) {
      const states = (window.seen[row.querySelector("strong").textContent] ??= []);
      const state = row.querySelector(".badge").textContent;
      if (states.at(-1) !== state) states.push(state);
    }
    window.isOffered ||= [...document.querySelectorAll("section.panel")].some((it) => /^Setting up…\s*Cancel/.test(it.innerText));
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  look();
};

export async function setup(browser) {
  const server = await serve(workspace);
  try {
    const { context, watch } = await visitor(browser, server);
    const tab = await context.newPage();
    await tab.goto(server.link);

    say("what is missing is said before anything is done");
    const panel = (name) => tab.getByRole("region", { name });
    await panel(/^Setup: \d+ steps to do/).waitFor();
    await tab.getByRole("heading", { name: "Set up this machine" }).waitFor();
    await tab.evaluate(note);
    const missing = await tab.locator(".setup-steps li").allInnerTexts();
    assert(missing.length >= 7, missing.join("\n"));
    await narrow(tab, "setup-missing");
    await tab.screenshot({ path: join(shots, "setup-missing.png") });

    say("the button sets it up, and each step is seen on its way, in another tab as well");
    const other = await context.newPage();
    await other.goto(`${server.origin}/`);
    await other.getByRole("region", { name: /^Setup: \d+ steps to do/ }).waitFor();
    await other.evaluate(note);
    await panel(/^Setup: /).getByRole("button", { name: "Set up", exact: true }).click();
    await panel("Setting up…").waitFor();
    await until("a step runs", () => tab.evaluate(() => Object.values(window.seen).some((it) => it.includes("running"))));
    await tab.screenshot({ path: join(shots, "setup-running.png") });
    assert.equal(await tab.getByRole("heading", { name: "Set up this machine" }).count(), 0);
    await other.screenshot({ path: join(shots, "setup-running-there.png") });
    await panel("Everything is set up").waitFor({ timeout: 180_000 });
    await other.getByRole("region", { name: "Everything is set up" }).waitFor();
    // It has begun no setup of its own, and could have ended the one that there was.
    assert(await other.evaluate(() => window.isOffered && Object.values(window.seen).some((it) => it.includes("running"))), "it runs there too");
    const jobs = await other.evaluate(() => fetch("/api/jobs").then((answer) => answer.json()));
    assert.equal(jobs.filter((it) => it.kind === "setup").length, 1);
    const [seen, there] = [await tab.evaluate(() => window.seen), await other.evaluate(() => window.seen)];
    assert.deepEqual(Object.keys(there), Object.keys(seen));
    for (const [step, states] of [...Object.entries(seen), ...Object.entries(there)]) {
      say(`  ${step}: ${states.join(", ")}`);
      // A new look at everything follows; in between nobody knows.
      if (states[0] === "pending") assert.match(states.join(" "), /^pending (running )?done( there)?$/, step);
    }

    say("what is to be done next is something else now, also for whoever comes later");
    await tab.getByRole("heading", { name: "Make your first training" }).waitFor();
    await tab.reload();
    await panel("Everything is set up").waitFor();
    await tab.screenshot({ path: join(shots, "setup-done.png") });

    say("a configuration with errors is the next thing to mend");
    mkdirSync(join(workspace, "configs"), { recursive: true });
    writeFileSync(join(workspace, "configs/wan.toml"), "output_dir = 'output'\ndataset = 'configs/none.toml'\nepochs = 1\n[model]\ntype = 'wan'\n");
    await tab.reload();
    await tab.getByRole("heading", { name: "Mend wan.toml" }).waitFor();
    await tab.screenshot({ path: join(shots, "mend.png") });
    await accessible(tab, "a workspace that is set up");
    await tab.getByRole("link", { name: "Mend it" }).click();
    await tab.getByRole("heading", { level: 1, name: "wan.toml" }).waitFor();
    watch.none("a setup");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
  }
}
