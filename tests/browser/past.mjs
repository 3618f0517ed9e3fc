// What was before: the runs that one goes on from, what its GPUs did until it ended, and a line far above what a page has of its log.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab } from "./lab.mjs";
import { narrow, say, serve, shots, until, visitor } from "./support.mjs";

/** An NVML that knows two GPUs. */
function cards(lab) {
  mkdirSync(lab.path("lib"), { recursive: true });
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", lab.path("lib/libnvidia-ml.so.1"), fileURLToPath(new URL("../it/nvml.c", import.meta.url))]);
  return { LD_LIBRARY_PATH: lab.path("lib"), DPGUI_GPU_SOURCE: "nvml" };
}

export async function past(browser) {
  const lab = new Lab();
  const gpus = cards(lab);
  const server = await serve(lab.root, 0, { ...lab.env({ STEPS: "0", STEP_TIME: "0.2", CHECKPOINT: "3" }), ...gpus });
  try {
    const { context, watch } = await visitor(browser, server);
    const tab = await context.newPage();
    await tab.goto(server.link);
    await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();

    const first = lab.train({ STEPS: "0", STEP_TIME: "0.2", CHECKPOINT: "3", PRINT: "flood", BYTES: String(6 << 20) }, ["--gpus", "0", "--name", "long"], gpus);
    await look(lab, server, tab, first);

    say("what its GPU did is drawn while it trains, and when it has ended");
    const charts = async (id) => {
      await tab.goto(`${server.origin}/runs/${id}?tab=gpus`);
      for (const name of ["At work", "GPU memory", "Temperature", "Power"]) await tab.getByRole("region", { name }).locator("canvas").waitFor();
      // Of the other card nobody speaks here: this run has one.
      assert.match(await tab.getByRole("img", { name: /^At work/ }).getAttribute("aria-label"), /^At work: GPU 0 90$/);
    };
    await until("it was looked at", async () => (await tab.evaluate((id) => fetch(`/api/runs/${id}/gpus`).then((it) => it.json()), first)).gpus.length === 1);
    await charts(first);
    await tab.getByRole("tab", { name: "Charts" }).click();
    await tab.getByRole("region", { name: "Loss" }).locator("canvas").waitFor();
    const seen = stepOf(lab, first);
    await tab.getByRole("tab", { name: /^Checkpoints/ }).click();
    await until("it has gone on", () => stepOf(lab, first) > seen + 5);
    lab.run("stop", first);
    await tab.getByText("Average pace").waitFor();

    say("its charts are whole for who looks at them again once it is over");
    const asked = tab.waitForResponse((it) => it.url().includes("/metrics"));
    await tab.getByRole("tab", { name: "Charts" }).click();
    const { step } = await (await asked).json();
    assert.deepEqual([step[0], step.at(-1)], [1, stepOf(lab, first)]);

    say("and how it ended is on the overview, as nothing trains");
    await tab.getByRole("link", { name: "Overview" }).click();
    await tab.getByRole("region", { name: "Ended last" }).getByRole("listitem").filter({ hasText: "long" }).getByText("stopped", { exact: true }).waitFor();
    await tab.screenshot({ path: join(shots, "ended-last-1280.png") });
    await narrow(tab, "ended-last");
    await charts(first);
    await tab.getByText("from its start to its end").waitFor();
    for (const colorScheme of ["dark", "light"]) {
      await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await tab.waitForTimeout(300);
      await tab.screenshot({ path: join(shots, `run-gpus-${colorScheme}-1280.png`) });
    }
    await narrow(tab, "run-gpus");

    say("a run that goes on and the one before it lead to each other");
    await tab.getByRole("button", { name: "Resume", exact: true }).click();
    await tab.waitForURL((url) => url.pathname.startsWith("/runs/") && !url.pathname.endsWith(first));
    const second = new URL(tab.url()).pathname.split("/").pop();
    await tab.getByText("goes on from").getByRole("link", { name: first }).click();
    await tab.waitForURL(new RegExp(first));
    await tab.getByText("went on in").getByRole("link", { name: second }).waitFor();
    await narrow(tab, "went-on");
    await tab.screenshot({ path: join(shots, "went-on.png") });
    await tab.getByText("went on in").getByRole("link", { name: second }).click();
    await tab.waitForURL(new RegExp(second));
    watch.none("the past");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}

const stepOf = (lab, id) => JSON.parse(lab.run("--json", "runs").split("\n").find((it) => it.includes(id))).step;

async function look(lab, server, tab, id) {
  say("a line that the page has not is found by the server, and shown");
  await until("it trains", () => /"step":[1-9]/.test(lab.run("--json", "runs")));
  // A numbered line far above the two megabytes that a page begins with.
  const [wanted, next] = [1000, 1001].map((number) => String(number).padStart(99, "0"));
  await tab.goto(`${server.origin}/runs/${id}?tab=log`);
  await tab.getByText("live", { exact: true }).first().waitFor();
  await tab.getByText(/of earlier output/).waitFor();
  const rows = async () => (await tab.locator(".screen .xterm-rows > div").allInnerTexts()).map((it) => it.replaceAll("\u00a0", " ").trimEnd());
  await tab.getByLabel("Search these lines").fill(wanted);
  const found = tab.getByRole("region", { name: "Found in all of the log" });
  await found.getByText("1 line of this log").waitFor();
  for (const colorScheme of ["dark", "light"]) {
    await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await tab.waitForTimeout(300);
    await tab.screenshot({ path: join(shots, `found-${colorScheme}-1280.png`) });
  }
  await narrow(tab, "found");
  await found.getByRole("button", { name: /^line/ }).click();
  await until("it is on the screen", async () => (await rows()).includes(wanted));
  assert((await rows()).includes(next), "and what comes after it");
  await tab.locator(".screen .hit").waitFor();
  await tab.screenshot({ path: join(shots, "jumped.png") });

  say("and what is nowhere is nowhere");
  await tab.getByRole("button", { name: "To the live end" }).click();
  await tab.getByText("live", { exact: true }).first().waitFor();
  await tab.getByLabel("Search these lines").fill("no such words at all");
  await found.getByText("Nowhere in this log").waitFor();
  await found.getByRole("button", { name: "Close what was found" }).click();
  await found.waitFor({ state: "detached" });
}
