// How smooth the page is while a training prints. Started by page.sh.
import { chmodSync, readFileSync } from "node:fs";
import { Lab } from "../tests/browser/lab.mjs";
import { launch, serve, until, visitor } from "../tests/browser/support.mjs";

const SECONDS = 20;

/** Prints BENCH_LINES lines of 100 bytes, BENCH_RATE a second, one in a thousand of them a step's. */
const PRINTS = `#!/usr/bin/env python3
import math, os, time
from pathlib import Path
rate, count = int(os.environ["BENCH_RATE"]), int(os.environ["BENCH_LINES"])
while not Path(os.environ["BENCH_GO"]).exists():
    time.sleep(0.005)
begin, done = time.monotonic(), 0
while done < count:
    due = min(count, int((time.monotonic() - begin) * rate))
    lines = []
    for number in range(done, due):
        if number % 1000 == 0:
            step = number // 1000 + 1
            lines.append(f"steps: {step} loss: {1 / math.sqrt(step):0.4f} iter time (s): 0.200 samples/sec: 5.000\\n")
        else:
            lines.append(f"{'line':<90}{number:09}\\n")
    text = "".join(lines).encode()
    while text:
        text = text[os.write(1, text):]
    done = due
    time.sleep(0.004)
while Path(os.environ["BENCH_GO"]).exists():
    time.sleep(0.05)
`;

/** Times between the frames of so many seconds, in milliseconds. */
const gaps = (tab, seconds) => tab.evaluate((seconds) => new Promise((done) => {
  const times = [];
  const tick = (now) => {
    times.push(now);
    if (now - times[0] < seconds * 1000) requestAnimationFrame(tick);
    else done(times.slice(1).map((it, index) => it - times[index]));
  };
  requestAnimationFrame(tick);
}), seconds);

function told(gaps) {
  const sorted = gaps.toSorted((a, b) => a - b);
  const all = gaps.reduce((sum, it) => sum + it, 0);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(0);
  return `${(1000 * gaps.length / all).toFixed(1)} frames/s; between two of them ${at(0.5)} ms in the middle, ${at(0.99)} ms for 99 of 100, ${at(1)} ms at most`;
}

const shownLines = async (tab) => Number((/([\d\s\u202f]+) lines/.exec(await tab.locator(".log header").innerText())?.[1] ?? "0").replaceAll(/\D/g, ""));

async function memory(browser, tab) {
  const session = await tab.context().newCDPSession(tab);
  await session.send("HeapProfiler.collectGarbage");
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  const heap = metrics.find((it) => it.name === "JSHeapUsedSize").value;
  const { processInfo } = await (await browser.newBrowserCDPSession()).send("SystemInfo.getProcessInfo");
  const sizes = processInfo.filter((it) => it.type === "renderer").map((it) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${it.id}/status`, "utf8"))[1]));
  return `heap ${(heap / 2 ** 20).toFixed(0)} MiB, its process ${(Math.max(...sizes) / 1024).toFixed(0)} MiB`;
}

/** How long the page takes to answer to a text in the search field, in milliseconds. */
const search = (tab, words) => tab.getByLabel("Search these lines").evaluate((input, words) => {
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  const since = performance.now();
  set.call(input, words);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  return performance.now() - since;
}, words);

/** A training that prints, watched from its first line on. */
async function watched(lab, server, tab, rate, lines, query) {
  const go = lab.path(`go-${rate}`);
  const env = { BENCH_RATE: String(rate), BENCH_LINES: String(lines), BENCH_GO: go };
  const id = lab.train({}, [], env);
  await tab.goto(`${server.origin}/runs/${id}?tab=log${query}`);
  await tab.getByText("live", { exact: true }).first().waitFor();
  lab.write(`go-${rate}`, "");
  return id;
}

const lab = new Lab();
lab.write("venv/bin/deepspeed", PRINTS);
chmodSync(lab.path("venv/bin/deepspeed"), 0o755);
const server = await serve(lab.root);
const browser = await launch();
try {
  const { context } = await visitor(browser, server);
  const tab = await context.newPage();
  await tab.goto(server.link);
  await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  console.log(`a page at rest: ${told(await gaps(tab, 5))}`);

  const id = await watched(lab, server, tab, 5000, 10_000_000, "&loss=1");
  await until("lines arrive", async () => (await shownLines(tab)) > 5000);
  const [since, before] = [Date.now(), await shownLines(tab)];
  const smooth = told(await gaps(tab, SECONDS));
  const rate = 1000 * ((await shownLines(tab)) - before) / (Date.now() - since);
  const steps = await tab.locator(".chart").first().getAttribute("aria-label");
  console.log(`5,000 lines a second and the loss: ${smooth}; ${rate.toFixed(0)} lines/s were shown; ${steps}`);
  lab.run("stop", "--now", id);

  const many = await watched(lab, server, tab, 50_000, 1_000_000, "");
  const flood = told(await gaps(tab, SECONDS));
  await until("all lines are there", async () => (await shownLines(tab)) >= 1_000_000);
  console.log(`50,000 lines a second, a million of them: ${flood}; ${await shownLines(tab)} lines were shown; ${await memory(browser, tab)}`);

  // As a hand on a wheel: some pixels a frame, up and down again.
  await tab.locator(".xterm").hover();
  let over = false;
  const wheel = (async () => {
    for (let turn = 0; !over; turn += 1) await tab.mouse.wheel(0, turn % 200 < 100 ? -240 : 240);
  })();
  const scrolling = told(await gaps(tab, 8));
  over = true;
  await wheel;
  console.log(`scrolling in them: ${scrolling}`);
  const times = [];
  for (const words of ["000980500", "000999900", "000990000", "nowhere in it"]) times.push(`\`${words}\` ${(await search(tab, words)).toFixed(0)} ms`);
  console.log(`a search in them: ${times.join(", ")}`);
  lab.run("stop", "--now", many);
} finally {
  await browser.close();
  server.child.kill("SIGINT");
  lab.close();
}
