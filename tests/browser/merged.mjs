// What two ranks print, as one: also after a reload and after the server was killed, without a gap and without a duplicate.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { narrow, say, serve, until, visitor, workspace } from "./support.mjs";

/** The steps of the second rank as they come to the page, each the one after the last. */
class Steps {
  constructor(tab) {
    this.sockets = 0;
    this.resumed = 0;
    this.wrong = [];
    this.start();
    tab.on("websocket", (socket) => {
      if (!socket.url().includes("/log/merged?")) return;
      this.sockets += 1;
      // A page that was loaded anew has nothing yet.
      if (socket.url().includes("lines=")) this.start();
      else this.resumed += 1;
      const own = this.sockets;
      socket.on("framereceived", ({ payload }) => {
        if (typeof payload === "string" || own !== this.sockets) return;
        const lines = payload.subarray(4 + payload.readUInt32LE(0)).toString();
        for (const [, step] of lines.matchAll(/^\[rank1\] rank 1 is at step (\d+)$/gm)) {
          if (this.last !== null && Number(step) !== this.last + 1) this.wrong.push(`after ${this.last} comes ${step}, socket ${own}`);
          this.last = Number(step);
          this.count += 1;
        }
      });
    });
  }
  start() {
    this.last = null;
    this.count = 0;
  }
}

export async function merged(browser) {
  let server = await serve(workspace);
  try {
    const { context, watch } = await visitor(browser, server);
    const tab = await context.newPage();
    await tab.goto(server.link);
    await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    const [id] = readdirSync(join(workspace, "runs"));
    const steps = new Steps(tab);

    say("all together is one of the outputs of a run on two");
    await tab.goto(`${server.origin}/runs/${id}?tab=log`);
    await tab.getByLabel("Which output").selectOption("all together");
    await tab.waitForURL(/stream=all/);
    await tab.getByText("live", { exact: true }).first().waitFor();
    await until("steps come", () => steps.count > 20);
    const rows = () => tab.locator(".screen .xterm-rows").innerText();
    await until("both ranks are seen", async () => /\[rank0\] steps/.test(await rows()) && /\[rank1\] rank 1/.test(await rows()));

    say("also after a reload");
    const had = steps.sockets;
    await tab.reload();
    await until("steps come", () => steps.sockets > had && steps.count > 20);

    say("and where it was, after the server was killed");
    watch.restarting = true;
    const before = steps.count;
    server.child.kill("SIGKILL");
    await tab.getByText(/reconnecting/).first().waitFor();
    server = await serve(workspace, server.port);
    await until("it goes on", () => steps.count > before + 20);
    assert(steps.resumed > 0, "it asked for what comes after what it has");
    watch.restarting = false;
    await narrow(tab, "merged");
    assert.deepEqual(steps.wrong, []);
    watch.none("the log of two ranks");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
  }
}
