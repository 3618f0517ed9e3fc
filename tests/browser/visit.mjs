// A first visit, a training of the demo from its start to its end, and every page there is.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessible, dpgui, fits, say, serve, shots, until, visitor, workspace } from "./support.mjs";

const run = (...args) => execFileSync(dpgui, ["-C", workspace, ...args], { encoding: "utf8", stdio: "pipe" });

/** Frames of a log as they come to the page: each begins where the one before ended. A page that has the log already asks for
 * what comes after that, and for nothing else. */
class Frames {
  constructor(tab) {
    this.sockets = 0;
    this.bytes = 0;
    this.end = null;
    this.hasLog = false;
    tab.on("websocket", (socket) => {
      if (!socket.url().includes("/log?")) return;
      this.sockets += 1;
      let next = null;
      socket.on("framereceived", ({ payload }) => {
        if (typeof payload === "string") {
          const said = JSON.parse(payload);
          if (said.type !== "start") return;
          next = said.offset;
          if (this.hasLog) assert.equal(next, this.end, "where the log goes on");
          return;
        }
        assert.equal(Number(payload.readBigUInt64LE(0)), next, `a frame of socket ${this.sockets}`);
        next += payload.length - 8;
        this.end = next;
        this.bytes += payload.length - 8;
      });
    });
  }
}

export async function visit(browser) {
  let server = await serve(workspace);
  try {
    await look(browser, server, async () => (server = await serve(workspace, server.port)));
  } finally {
    server.child.kill("SIGINT");
    rmSync(join(workspace, "configs/long.toml"), { force: true });
    try {
      run("stop", "--now");
    } catch {
      // Nothing runs any more.
    }
  }
}

async function look(browser, server, restart) {
  const { origin } = server;
  const { context, watch } = await visitor(browser, server);
  const tab = await context.newPage();

  say("whoever has no link is told how to get one");
  await tab.goto(origin);
  await tab.getByText("dpgui ui --link").first().waitFor();
  await accessible(tab, "the page to sign in");

  say("a link signs in once, and is nowhere afterwards");
  const since = Date.now();
  await tab.goto(server.link);
  await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  say(`interactive after ${Date.now() - since} ms`);
  assert(!tab.url().includes("#"), tab.url());
  await tab.reload();
  await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  await other.goto(server.link);
  await other.getByText("this key is not valid, was used or has expired").waitFor();
  await other.getByText("dpgui ui --link").first().waitFor();
  await stranger.close();
  // Whoever is in already is not asked for it again.
  await tab.goto("about:blank");
  await tab.goto(server.link);
  await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();

  say("a training is started from its configuration");
  const config = readFileSync(join(workspace, "configs/demo.toml"), "utf8");
  writeFileSync(join(workspace, "configs/long.toml"), config.replace(/^epochs = .*$/m, "epochs = 400"));
  await tab.goto(`${origin}/configs/long.toml`);
  await tab.getByRole("button", { name: "Start…" }).click();
  await tab.getByRole("dialog").getByRole("button", { name: "Start", exact: true }).click();
  await tab.waitForURL(/\/runs\/.*long/);
  const id = new URL(tab.url()).pathname.split("/").pop();

  say("its log is live, also after a reload and after the server was killed, without a gap and without a duplicate");
  const frames = new Frames(tab);
  await tab.goto(`${origin}/runs/${id}?tab=log`);
  await tab.getByText("live", { exact: true }).first().waitFor();
  await until("steps are printed", () => frames.bytes > 3000, 120_000);
  const had = frames.sockets;
  await tab.reload();
  await tab.getByText("live", { exact: true }).first().waitFor();
  await until("the log is there again", () => frames.sockets > had && frames.end > 3000);
  frames.hasLog = true;
  const before = frames.end;
  const away = await context.newPage();
  await away.goto(origin);
  await away.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  watch.restarting = true;
  server.child.kill("SIGKILL");
  await tab.getByText(/reconnecting|connection/i).first().waitFor();
  await away.getByRole("link", { name: "Settings" }).click();
  await away.getByText("no connection to dpgui: this view").waitFor();
  await away.close();
  server = await restart();
  await until("the log goes on", () => frames.end > before + 500, 90_000);
  frames.hasLog = false;
  await tab.getByText("live", { exact: true }).first().waitFor();
  watch.restarting = false;

  say("its losses are drawn");
  await tab.goto(`${origin}/runs/${id}?tab=charts`);
  await tab.locator("canvas").first().waitFor();

  say("twenty tabs at once");
  const tabs = [];
  for (let count = 0; count < 20; count += 1) {
    const more = await context.newPage();
    await more.goto(`${origin}/runs/${id}?tab=log`);
    tabs.push(more);
  }
  await Promise.all(tabs.map((it) => it.getByText("live", { exact: true }).first().waitFor()));
  const memory = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.child.pid}/status`, "utf8"))[1]);
  say(`the server has ${(memory / 1024).toFixed(0)} MiB with 21 tabs`);
  await Promise.all(tabs.map((it) => it.close()));

  say("every page in light and dark, wide and narrow, and nothing that axe calls serious");
  const pages = {
    overview: "/", runs: "/runs", log: `/runs/${id}?tab=log`, charts: `/runs/${id}?tab=charts`, checkpoints: `/runs/${id}?tab=checkpoints`,
    files: `/runs/${id}?tab=config`, compare: `/runs/compare?ids=${id}`, queue: "/queue", new: "/new", configs: "/configs", config: "/configs/demo.toml",
    data: "/data", settings: "/settings",
  };
  for (const colorScheme of ["light", "dark"]) {
    await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [name, path] of Object.entries(pages)) {
      for (const width of [1280, 390]) {
        await tab.setViewportSize({ width, height: 800 });
        await tab.goto(origin + path);
        await tab.getByRole("heading", { level: 1 }).first().waitFor();
        await tab.waitForTimeout(600);
        await fits(tab, name);
        await tab.screenshot({ path: join(shots, `${name}-${colorScheme}-${width}.png`) });
        await accessible(tab, `${name}, ${colorScheme}, ${width} px`);
      }
    }
  }
  await tab.setViewportSize({ width: 1280, height: 800 });

  say("it is stopped, which saves, and goes on from there");
  await tab.goto(`${origin}/runs/${id}`);
  await tab.getByRole("button", { name: "Stop…" }).click();
  await tab.getByRole("dialog").getByRole("button").last().click();
  await tab.getByText("stopped", { exact: true }).first().waitFor();
  await tab.getByRole("button", { name: "Resume" }).click();
  await tab.waitForURL((url) => /\/runs\/.*long/.test(url.pathname) && !url.pathname.includes(id));
  const next = new URL(tab.url()).pathname.split("/").pop();
  await tab.goto(`${origin}/runs/${next}?tab=log`);
  await until("it trains again", () => JSON.parse(run("--json", "runs").split("\n")[0]).step > 0, 120_000);
  run("stop", "--now", next);
  await tab.getByText("stopped", { exact: true }).first().waitFor();

  watch.none("the whole visit");
  await context.close();
}
