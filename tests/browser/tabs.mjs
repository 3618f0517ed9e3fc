// Two tabs at once: what one does, the other shows; what one has changed, the other does not overwrite without a word.
import assert from "node:assert/strict";
import { join } from "node:path";
import { Lab } from "./lab.mjs";
import { accessible, narrow, say, serve, shots, until, visitor } from "./support.mjs";

export async function tabs(browser) {
  const lab = new Lab();
  lab.write("configs/tiny-dataset.toml", `resolutions = [16]\n[[directory]]\npath = '${lab.path("data")}'\n`);
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    // Saves that are refused.
    watch.expected = /409|ERR_FAILED/;
    const [one, other] = [await context.newPage(), await context.newPage()];
    await one.goto(server.link);
    await one.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    const both = (path) => Promise.all([one, other].map((tab) => tab.goto(`${server.origin}${path}`)));

    await jobs(lab, one, other, both);
    await caption(lab, one, other, both);
    await settings(lab, one, other, both);
    watch.none("two tabs");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}

async function jobs(lab, one, other, both) {
  const id = lab.train({ STEPS: "0", STEP_TIME: "0.05", CHECKPOINT: "5" });
  const words = (tab, command) => tab.locator(".job", { hasText: `dpgui ${command} ${id}` });

  say("a checkpoint that is asked for in one tab is on its way in the other");
  await both(`/runs/${id}`);
  await other.getByRole("button", { name: "Stop…" }).and(other.locator("[aria-disabled=false]")).waitFor();
  await until("it has trained", async () => (await one.getByRole("button", { name: "Save", exact: true }).getAttribute("aria-disabled")) === "false");
  await one.getByRole("button", { name: "Save", exact: true }).click();
  await other.goto(new URL("/", other.url()).href);
  await words(other, "save").getByText("done").waitFor();

  say("a stop in one tab ends the run in the other, without a reload");
  await other.goBack();
  await other.getByRole("button", { name: "Stop…" }).waitFor();
  await one.getByRole("button", { name: "Stop…" }).click();
  await one.getByRole("dialog").getByRole("button", { name: "Save and stop" }).click();
  await other.getByRole("button", { name: "Resume", exact: true }).waitFor();
  assert.equal(await other.getByRole("button", { name: "Stop…" }).count(), 0);

  say("an export in one tab is told in the other, with how it ends");
  await other.getByRole("tab", { name: /Checkpoints/ }).click();
  await one.getByRole("button", { name: "Export", exact: true }).click();
  // There is no PyTorch here to make it with.
  await other.locator(".job", { hasText: `dpgui export ${id}` }).getByText("failed").waitFor();

  say("a look of the doctor that one tab asks for is at work in the other");
  await both("/");
  const command = (tab, name) => tab.getByRole("button", { name, exact: true }).and(tab.locator("[aria-disabled=false]"));
  for (const tab of [one, other]) await command(tab, "Look again").waitFor();
  await one.getByRole("button", { name: "Look again", exact: true }).click();
  await other.locator(".job", { hasText: "dpgui doctor" }).getByText("running").waitFor();
  await command(other, "Look again").waitFor();
}

async function caption(lab, one, other, both) {
  say("one caption in two tabs: who saves last is told, and chooses");
  await both("/data?config=tiny.toml");
  const dialog = (tab) => tab.getByRole("dialog");
  const text = (tab) => dialog(tab).getByLabel("Caption");
  for (const tab of [one, other]) {
    await tab.locator(".tile").first().click();
    await until("the caption is there", async () => (await text(tab).inputValue()) === "a");
  }
  const save = (tab) => dialog(tab).getByRole("button", { name: "Save caption" });
  await text(one).fill("of the first");
  await text(other).fill("of the second");
  await save(one).click();
  await one.getByText("Saved a.txt").waitFor();
  assert.equal(lab.read("data/a.txt"), "of the first");
  await save(other).click();
  await dialog(other).getByRole("alert").getByText("of the first").waitFor();
  assert.equal(lab.read("data/a.txt"), "of the first");
  assert.equal(await text(other).inputValue(), "of the second");
  assert.equal(await save(other).getAttribute("aria-disabled"), "true");
  for (const colorScheme of ["dark", "light"]) {
    await other.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await other.screenshot({ path: join(shots, `caption-conflict-${colorScheme}.png`) });
  }
  await accessible(other, "a caption's conflict");
  await narrow(other, "caption-conflict");
  await dialog(other).getByRole("button", { name: "Keep yours" }).click();
  await save(other).click();
  await until("the second is there", () => lab.read("data/a.txt") === "of the second");
  await text(one).fill("of the first again");
  await save(one).click();
  await dialog(one).getByRole("button", { name: "Take theirs" }).click();
  assert.equal(await text(one).inputValue(), "of the second");
  assert.equal(lab.read("data/a.txt"), "of the second");

  say("a caption that is not saved is there again after its dialog was closed, and after a reload");
  await text(one).fill("half of a capt");
  await one.keyboard.press("Escape");
  await one.locator(".tile:focus", { hasText: "caption not saved" }).waitFor();

  say("on any page it is said that something is not saved, and whoever closes the tab there is asked");
  await one.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Runs" }).click();
  await one.getByRole("heading", { level: 1, name: "Runs" }).waitFor();
  await one.getByRole("link", { name: /Data.*1 caption not saved/ }).waitFor();
  await accessible(one, "something not saved");
  const stays = new Promise((done) => one.once("dialog", (asked) => void asked.dismiss().then(() => done(asked.type()))));
  await one.close({ runBeforeUnload: true });
  assert.equal(await stays, "beforeunload");
  await one.goBack();
  one.on("dialog", (asked) => void asked.accept());
  await one.reload();
  await one.locator(".tile", { hasText: "caption not saved" }).click();
  await until("it is there", async () => (await text(one).inputValue()) === "half of a capt");
  await accessible(one, "a caption that is not saved");
  await narrow(one, "caption-kept");
  await one.screenshot({ path: join(shots, "caption-kept.png") });

  say("what fails in a dialog is said in it");
  await one.route("**/api/caption", (route) => (route.request().method() === "PUT" ? route.abort() : route.continue()));
  await save(one).click();
  await dialog(one).getByRole("alert").getByText("no answer from dpgui").waitFor();
  await one.unroute("**/api/caption");
  await text(one).press("Control+Enter");
  await until("it is saved", () => lab.read("data/a.txt") === "half of a capt");
  await dialog(one).getByRole("alert").waitFor({ state: "detached" });
}

async function settings(lab, one, other, both) {
  say("the settings in two tabs: who saves last is told, and then saves beside what the first has changed");
  await both("/settings");
  const save = (tab) => tab.getByRole("button", { name: "Save", exact: true }).and(tab.locator("[aria-disabled=false]"));
  await one.getByLabel("Download cache").fill("20 GB");
  await other.getByLabel("Port").fill("6000");
  await save(one).click();
  await one.getByText("Saved in dpgui.toml").waitFor();
  await save(other).click();
  await other.getByText("changed by somebody else").first().waitFor();
  assert(!lab.read("dpgui.toml").includes("6000"), lab.read("dpgui.toml"));
  await until("the newer one is shown", () => other.locator("pre").getByText("20 GB").isVisible());
  await save(other).click();
  await until("both are there", () => /20 GB[^]*6000/.test(lab.read("dpgui.toml")));
}
