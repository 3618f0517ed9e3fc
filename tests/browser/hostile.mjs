// What a training prints is anybody's: it must do nothing in the page but be seen.
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Lab } from "./lab.mjs";
import { accessible, say, serve, shots, until, visitor } from "./support.mjs";

const HTML = `<img src="http://elsewhere.invalid/x.png" onerror="alert(1)"><script>document.title = "owned"; alert(2)</script>`;

const OUTPUT = [
  "first line",
  "\x1b]0;a title\x07\x1b]2;another title\x1b\\",
  `\x1b]52;c;${Buffer.from("rm -rf ~").toString("base64")}\x07`,
  "\x1b]8;;http://elsewhere.invalid/\x07a link\x1b]8;;\x07 \x1b]8;;javascript:alert(3)\x07another\x1b]8;;\x07",
  // The other screen, a clear one, a reset, over what was said before, questions to the terminal, letters as lines.
  "\x1b[?1049h\x1b[2J\x1b[3J\x1bc\x1b[H\x1b[1;1f\x1b[1d\x1b[6n\x1b[c\x1b[21t\x1bP+q544e\x1b\\\x1b(0\x1b)0\x0e",
  HTML,
  `\x1b]0;${HTML}\x07`,
  "last line",
  "",
].join("\n");

/** The lines that the terminal has on its screen. */
const seen = (tab) => tab.locator(".xterm-rows").innerText().then((text) => text.replaceAll("\u00a0", " "));

export async function hostile(browser) {
  const lab = new Lab();
  lab.write("said", OUTPUT);
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.origin });
    const tab = await context.newPage();
    const dialogs = [];
    tab.on("dialog", (dialog) => {
      dialogs.push(dialog.message());
      void dialog.dismiss();
    });
    await tab.goto(server.link);
    await tab.evaluate(() => navigator.clipboard.writeText("mine"));

    say("escapes and HTML in a log are text at most: no title, no clipboard, no dialog, nobody else is asked");
    const end = `RuntimeError: ${HTML}`;
    const id = lab.train({ SAY: lab.path("said"), STEPS: "3", END: "1", LAST: end }, ["--name", "hostile"]);
    await tab.goto(`${server.origin}/runs/${id}?tab=log`);
    await until("the log is there", async () => (await seen(tab)).includes("RuntimeError"));
    const text = await seen(tab);
    for (const line of ["first line", "a link another", HTML.slice(0, 40), "last line", end.slice(0, 40)]) assert(text.includes(line), `no \`${line}\` in:\n${text}`);
    // Links that a log makes lead nowhere.
    const line = await tab.locator(".xterm-rows > div", { hasText: "a link another" }).boundingBox();
    for (const x of [20, 70]) await tab.mouse.click(line.x + x, line.y + 8);
    for (const kind of ["diagnosis", "config", "log"]) {
      await tab.goto(`${server.origin}/runs/${id}?tab=${kind}`);
      await tab.getByText("failed").first().waitFor();
      await accessible(tab, `the ${kind} of a hostile run`);
    }
    await tab.goto(`${server.origin}/runs`);
    await tab.getByText("hostile").first().waitFor();
    await tab.goto(`${server.origin}/runs/${id}?tab=log`);
    await until("the log is there again", async () => (await seen(tab)).includes("RuntimeError"));
    assert.equal(await tab.title(), "hostile · dpgui");
    assert.equal(await tab.evaluate(() => navigator.clipboard.readText()), "mine");
    assert.equal(await tab.locator(".xterm img, .xterm script").count(), 0);
    assert.deepEqual(dialogs, []);
    assert.equal(context.pages().length, 1, "no window was opened");
    watch.none("a hostile log");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}

export async function deleted(browser) {
  const lab = new Lab();
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    const tab = await context.newPage();
    await tab.goto(server.link);

    say("a run that is deleted while somebody looks says so, once");
    const id = lab.train({ STEPS: "0", STEP_TIME: "0.1" });
    await tab.goto(`${server.origin}/runs/${id}?tab=log`);
    await until("it trains", async () => (await seen(tab)).includes("steps: 3"));
    watch.expected = /404/;
    lab.run("stop", "--now", id);
    await tab.getByText("the run is over").waitFor();
    rmSync(lab.path(`runs/${id}`), { recursive: true });
    // The page has a place for what is wrong everywhere, which is empty most of the time.
    const told = tab.locator("[role=alert]:not(:empty)");
    await told.first().waitFor();
    assert.equal(await told.count(), 1);
    assert.match(await told.innerText(), new RegExp(`${id} was deleted while you looked.*hint: `, "s"));
    assert.equal(await tab.getByRole("button", { name: "Resume" }).count(), 0);
    await accessible(tab, "a run that was deleted");

    say("and so does one that trains");
    const live = lab.train({ STEPS: "0", STEP_TIME: "0.1" });
    await tab.goto(`${server.origin}/runs/${live}?tab=log`);
    await until("it trains", async () => (await seen(tab)).includes("steps: 3"));
    rmSync(lab.path(`runs/${live}`), { recursive: true });
    await told.first().waitFor();
    assert.equal(await told.count(), 1);
    await tab.screenshot({ path: join(shots, "deleted.png") });
    watch.none("a deleted run");
    // It trains on, in another folder.
    await until("it has one", () => existsSync(lab.path(`runs/${live}/spec.json`)));
    lab.run("stop", "--now", live);
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}
