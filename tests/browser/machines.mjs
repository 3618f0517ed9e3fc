// A training on several machines is started from the page as from the terminal, and refused in the same words.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Lab } from "./lab.mjs";
import { dpgui, narrow, say, serve, shots, visitor } from "./support.mjs";

export async function machines(browser) {
  const lab = new Lab();
  // Nobody listens at the second one.
  lab.write("hosts", "127.0.0.1 slots=1\n127.0.0.3 slots=1\n");
  lab.write("one", "127.0.0.1 slots=1\n");
  const server = await serve(lab.root, 0, lab.env({}));
  try {
    const { context, watch } = await visitor(browser, server);
    watch.expected = /400|502/;
    const tab = await context.newPage();
    await tab.goto(server.link);
    await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await tab.goto(`${server.origin}/configs/tiny.toml`);
    await tab.getByRole("button", { name: "Start…" }).and(tab.locator("[aria-disabled=false]")).click();
    const dialog = tab.getByRole("dialog").first();
    const start = () => dialog.getByRole("button", { name: "Start", exact: true }).click();
    const refused = (text) => dialog.getByRole("alert").getByText(text).waitFor();

    say("the hostfile is chosen with the picker");
    await dialog.getByRole("button", { name: "Choose a hostfile" }).click();
    const picker = tab.getByRole("dialog").nth(1);
    await picker.getByRole("button", { name: lab.root }).click();
    await picker.getByRole("button", { name: /^one / }).click();
    assert.equal(await dialog.getByLabel("Machines").inputValue(), lab.path("one"));
    await dialog.getByLabel("Machines").scrollIntoViewIfNeeded();
    for (const colorScheme of ["dark", "light"]) {
      await tab.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await tab.screenshot({ path: join(shots, `machines-${colorScheme}.png`) });
    }
    await narrow(tab, "machines");

    say("what is wrong with it is said as the terminal says it");
    await start();
    await refused("names one machine only");
    await dialog.getByLabel("Machines").fill(lab.path("hosts"));
    await start();
    await refused("cannot be reached by ssh");
    const lines = (await dialog.getByRole("alert").innerText()).split("\n").map((it) => it.trim());
    assert.deepEqual(lines.length, 3, lines.join(" | "));
    assert.match(lines[2], /^fix: .* has to work without a question$/);
    await narrow(tab, "machines-refused");
    await tab.screenshot({ path: join(shots, "machines-refused.png") });
    assert.equal(terminal(lab, "--hostfile", lab.path("hosts")), "these machines cannot train together");

    say("it cannot wait in the queue, and says so as the terminal does");
    const queue = dialog.getByLabel(/^Wait in the queue if/);
    await queue.check();
    await start();
    const words = terminal(lab, "--queue", "--hostfile", lab.path("hosts"));
    assert.match(words, /cannot wait in the queue/);
    await refused(words);
    // The flag that the hint names is the box here.
    await dialog.getByRole("alert").locator("strong", { hasText: /^Wait in the queue if/ }).waitFor();
    assert(!existsSync(lab.path("runs")), "nothing has begun");
    watch.none("several machines");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}

/** The first line of what it refuses with. */
function terminal(lab, ...args) {
  try {
    execFileSync(dpgui, ["-C", lab.root, "train", lab.path("configs/tiny.toml"), ...args], { encoding: "utf8", stdio: "pipe", env: lab.env({}) });
  } catch ({ stderr }) {
    return stderr.split("\n")[0].replace(/^error: /, "");
  }
  throw new Error("it was not refused");
}
