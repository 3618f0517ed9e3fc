// Twenty tabs of one browser on one training: all are live, and none of them takes the connections that the others ask through.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Lab } from "./lab.mjs";
import { say, serve, soon, until, visitor } from "./support.mjs";

const TABS = 20;
/** Milliseconds: a browser with twenty pages of terminals on two cores is slow by itself. */
const SOON = 15_000;

/** The newest step that a page shows, 0 for none. */
const newest = (tab) => tab.locator(".screen .xterm-rows").innerText().then((text) => Math.max(0, ...[...text.matchAll(/steps:\s(\d+)/g)].map(([, step]) => Number(step))));

export async function crowd(browser) {
  const lab = new Lab();
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    const first = await context.newPage();
    await first.goto(server.link);
    await first.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    const id = lab.train({ STEPS: "0", STEP_TIME: "0.5" });

    say("twenty tabs on one training are all live");
    const tabs = [];
    for (let count = 0; count < TABS; count += 1) {
      const tab = await context.newPage();
      await tab.goto(`${server.origin}/runs/${id}?tab=log`);
      tabs.push(tab);
    }
    await Promise.all(tabs.map((it) => it.getByText("live", { exact: true }).first().waitFor()));
    const step = () => Number(/"step":(\d+)/.exec(lab.run("--json", "runs"))?.[1] ?? 0);

    say("and each shows the newest step within seconds, again and again");
    for (let round = 0; round < 3; round += 1) {
      const now = step();
      const begun = Date.now();
      for (const [at, tab] of tabs.entries()) await until(`tab ${at + 1} shows step ${now}`, async () => (await soon(`tab ${at + 1}`, newest(tab))) >= now, SOON);
      say(`  step ${now} is in all of them after ${Date.now() - begun} ms`);
    }

    say("each of them is answered, for a socket takes none of the few connections that a browser has for a host");
    const begun = Date.now();
    const ask = () => fetch("/api/runs").then((answer) => answer.status);
    const answers = await Promise.all(tabs.map((it, at) => soon(`tab ${at + 1} asks`, it.evaluate(ask), SOON)));
    assert.deepEqual(answers, Array(TABS).fill(200));
    const memory = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, "utf8"))[1]);
    say(`  all twenty after ${Date.now() - begun} ms; the server has ${(memory / 1024).toFixed(0)} MiB`);

    say("what one of them stops has ended in all");
    lab.run("stop", "--now", id);
    await Promise.all(tabs.map((it) => it.getByText("the run is over").waitFor()));
    watch.none("twenty tabs");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}
