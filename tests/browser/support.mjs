// What every visit to the page needs: a server, a browser that is watched, and patience with an end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const [dpgui, workspace, page, shots] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(shots, { recursive: true });

const begun = Date.now();
export const say = (text) => console.log(`${String(Math.round((Date.now() - begun) / 1000)).padStart(6)} s  ${text}`);

export function launch(args = []) {
  const programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const executablePath = process.env.CHROMIUM ?? programs.find(existsSync);
  assert(executablePath, "no Chromium: install it, or name it in CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}

/** The server as a process of its own; `link` signs a browser in. */
export async function serve(root, port = 0, env = process.env) {
  const child = spawn(dpgui, ["-C", root, "--json", "ui", "--port", String(port), "--page", page], { stdio: ["ignore", "pipe", "inherit"], env });
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === "serving") return { child, link: event.link, port: event.port, origin: `http://localhost:${event.port}` };
  }
  throw new Error("the server ended");
}

export async function until(what, look, patience = 60_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `waited until ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Milliseconds; while one writes a scene, less is more. */
const PATIENCE = Number(process.env.PATIENCE ?? 120_000);

/** Every page must be a page: no errors in it, no request to anybody else, nothing that axe calls serious. */
export class Watch {
  constructor(context, port) {
    this.problems = [];
    /** Answers that a scene asks for, which the browser calls errors. */
    this.expected = /401|WebSocket/;
    this.restarting = false;
    context.on("page", (tab) => this.look(tab));
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (!["blob:", "data:"].includes(url.protocol) && url.host !== `localhost:${port}`) this.problems.push(`a request to ${url.host}`);
    });
  }
  look(tab) {
    tab.on("pageerror", (error) => this.problems.push(`${tab.url()}: ${error.message}`));
    tab.on("console", (message) => {
      // While the server is away, failed requests are what is tested.
      if (message.type() === "error" && !this.restarting && !this.expected.test(message.text())) this.problems.push(`${tab.url()}: ${message.text()}`);
    });
  }
  none(where) {
    assert.deepEqual(this.problems, [], where);
  }
}

/** A browser's profile of its own. */
export async function visitor(browser, server, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  // Twenty tabs beside a training on two cores take their time.
  context.setDefaultTimeout(PATIENCE);
  return { context, watch: new Watch(context, server.port) };
}

/** A page that hangs answers nothing, for ever. */
export async function soon(what, answer, patience = 60_000) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(`no answer: ${what}`)), patience)));
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

/** Whoever has to scroll sideways sees half of it. */
export async function fits(tab, name) {
  const width = tab.viewportSize().width;
  const wide = tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  const overflow = await soon(`the width of ${name}`, wide);
  assert(overflow <= 0, `${name} at ${width} is ${overflow} px too wide`);
}

/** As wide as a phone, in light and dark: nothing is too wide, nothing that axe calls serious. */
export async function narrow(tab, name) {
  const size = tab.viewportSize();
  await tab.setViewportSize({ width: 390, height: 800 });
  for (const colorScheme of ["dark", "light"]) {
    await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await fits(tab, name);
    await tab.screenshot({ path: join(shots, `${name}-${colorScheme}-390.png`) });
    await accessible(tab, `${name}, ${colorScheme}, 390 px`);
  }
  await tab.setViewportSize(size);
}

export async function accessible(tab, where) {
  await soon(`axe on ${where}`, tab.evaluate(axe));
  const asked = tab.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const { violations } = await soon(`axe on ${where}`, asked);
  const bad = violations.filter((it) => ["serious", "critical"].includes(it.impact));
  const told = bad.map((it) => `${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  assert.deepEqual(told, [], `axe on ${where}`);
}
