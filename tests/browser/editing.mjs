// A configuration is made and changed in forms, by one and by two at once.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Lab } from "./lab.mjs";
import { accessible, dpgui, narrow, say, serve, shots, until, visitor } from "./support.mjs";

/** What the terminal says of a configuration: its exit code and the findings. */
function checked(lab, name) {
  try {
    return { code: 0, findings: findings(execFileSync(dpgui, ["--json", "-C", lab.root, "config", "check", lab.path(`configs/${name}`)], { encoding: "utf8", stdio: "pipe" })) };
  } catch ({ status, stdout }) {
    return { code: status, findings: findings(stdout) };
  }
}

const findings = (text) => text.split("\n").filter(Boolean).map((line) => JSON.parse(line)).filter((it) => it.event === "finding");

const field = (tab, key) => tab.locator(".form-row", { has: tab.getByLabel(key) });

/** Presses Save, and waits until it is. */
async function save(tab) {
  await tab.getByRole("button", { name: "Save", exact: true }).click();
  await tab.getByRole("heading", { level: 1 }).locator("..").getByText(/· saved/).waitFor();
}

export async function wrongPath(browser) {
  const lab = new Lab();
  mkdirSync(lab.path("models/mine"), { recursive: true });
  for (const name of ["b", "c", "d", "e", "f"]) lab.picture(name);
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    // The picker begins at the nearest folder that is there, and a value that is none is refused.
    watch.expected = /400|404/;
    const tab = await context.newPage();
    await tab.goto(server.link);

    say("a wan configuration by the form: a path that leads nowhere is said at its field");
    await tab.getByRole("link", { name: "New training" }).first().click();
    await tab.getByLabel("Find a model").fill("wan");
    await tab.locator(".card", { has: tab.locator("code", { hasText: /^wan$/ }) }).click();
    await tab.getByRole("dialog").getByLabel("Name").fill("clip");
    await tab.getByRole("button", { name: "Go on" }).click();
    const model = field(tab, "model.ckpt_path");
    const path = field(tab, "directory[0].path");
    await model.getByText("there is no folder").waitFor();
    await path.getByText("there is no folder").waitFor();
    assert.equal(await model.getByLabel("model.ckpt_path").getAttribute("aria-invalid"), "true");
    await tab.getByRole("button", { name: "Start…" }).and(tab.locator("[aria-disabled=true]")).waitFor();
    await tab.screenshot({ path: join(shots, "wrong-path.png") });
    await accessible(tab, "a form with a wrong path");

    say("it is mended, with the picker and by typing, and saved");
    await model.getByRole("button", { name: "Choose ckpt_path" }).click();
    await tab.getByRole("dialog").getByRole("button", { name: "mine" }).click();
    await tab.getByRole("dialog").getByText("It is empty").waitFor();
    await tab.screenshot({ path: join(shots, "folder-picker.png") });
    await tab.getByRole("dialog").getByRole("button", { name: "Choose this folder" }).click();
    await until("the finding is gone", async () => (await model.getByText("there is no folder").count()) === 0);
    assert.equal(await model.getByLabel("model.ckpt_path").inputValue(), lab.path("models/mine"));
    await path.getByLabel("directory[0].path").fill(lab.path("data"));
    await until("this one as well", async () => (await path.getByText("there is no folder").count()) === 0);
    await tab.getByRole("button", { name: "Save", exact: true }).click();
    await tab.waitForURL(/\/configs\/clip\.toml/);
    const said = checked(lab, "clip.toml");
    assert.equal(said.code, 0, JSON.stringify(said.findings));
    assert.match(lab.read("configs/clip.toml"), new RegExp(`^ckpt_path = '${lab.path("models/mine")}'$`, "m"));

    say("what was saved is changed and saved again");
    await tab.getByRole("region", { name: "Required" }).getByLabel("epochs").fill("7");
    await save(tab);
    assert.match(lab.read("configs/clip.toml"), /^epochs = 7$/m);

    say("the steps are counted by a look at the data, and follow what is changed as far as they can");
    const number = (name) => tab.locator(".stats > div", { hasText: name }).locator("dd").innerText();
    assert.equal(await number("Steps in all"), "needs the count of steps");
    await tab.getByRole("button", { name: "Count", exact: true }).click();
    await until("the steps are there", async () => (await number("Steps per epoch")) === "6");
    await until("all of them", async () => (await number("Steps in all")) === "42");
    await tab.getByRole("region", { name: "Required" }).getByLabel("epochs").fill("9");
    await until("more epochs count", async () => (await number("Steps in all")) === "54");
    await tab.screenshot({ path: join(shots, "counted.png") });
    await narrow(tab, "counted");
    await tab.getByLabel("On GPUs").fill("2");
    await tab.getByRole("button", { name: "Save and count" }).click();
    await until("half as many", async () => (await number("Steps per epoch")) === "3");
    await until("half of all", async () => (await number("Steps in all")) === "27");
    assert.equal(await number("Global batch"), "2");
    assert.match(lab.read("configs/clip.toml"), /^epochs = 9$/m);

    say("a field whose value cannot be written is no saved one, and nothing starts without it");
    const typed = tab.getByRole("region", { name: "Required" }).getByLabel("epochs");
    const head = tab.getByRole("heading", { level: 1 }).locator("..");
    await typed.fill("2x");
    await head.getByText("epochs has no valid value").waitFor();
    assert(!(await head.innerText()).includes("· saved"), await head.innerText());
    assert.equal(await tab.getByRole("button", { name: "Start…" }).getAttribute("aria-disabled"), "true");
    // Out of sight it is as wrong as before.
    await tab.getByLabel("Find a setting").fill("save_every");
    await head.getByText("epochs has no valid value").waitFor();
    await tab.getByLabel("Find a setting").fill("");
    assert.equal(await typed.inputValue(), "2x");
    await tab.screenshot({ path: join(shots, "no-value.png") });
    await accessible(tab, "a field without a valid value");
    await typed.fill("9");
    await head.getByText(/· saved/).waitFor();
    assert.equal(await tab.getByRole("button", { name: "Start…" }).getAttribute("aria-disabled"), "false");
    assert.match(lab.read("configs/clip.toml"), /^epochs = 9$/m);

    say("an answer that comes late is one to what was asked, and not to what has been typed since");
    await tab.route("**/set", async (route) => {
      if (/"(12|3x)"/.test(route.request().postData() ?? "")) await new Promise((done) => setTimeout(done, 2000));
      await route.continue();
    });
    const wrong = field(tab, "epochs").locator(".found .bad");
    await typed.fill("12");
    await tab.waitForTimeout(600);
    await typed.fill("2x");
    await head.getByText("epochs has no valid value").waitFor();
    assert.equal(await typed.inputValue(), "2x");
    await typed.fill("3x");
    await tab.waitForTimeout(600);
    await typed.fill("9");
    await wrong.first().waitFor({ state: "detached" });
    assert.equal(await typed.inputValue(), "9");
    await tab.unroute("**/set");
    await head.getByText(/· saved/).waitFor();

    say("what a dataset file lacks at its top, and a list that no trainer takes, are told at their fields");
    await tab.getByRole("button", { name: "dataset", exact: true }).click();
    const data = tab.getByRole("textbox", { name: "The dataset file" });
    const whole = await data.inputValue();
    await data.fill(whole.replace(/^resolutions = .*$/m, ""));
    await tab.locator(".form-row", { has: tab.getByText("is missing at the top of the dataset file") }).getByLabel("resolutions").waitFor();
    await data.fill(whole.replace(/^enable_ar_bucket = .*$/m, "enable_ar_bucket = true\nar_buckets = [-1]"));
    await tab.locator(".form-row", { has: tab.getByText("above 0, not [-1]") }).getByLabel("ar_buckets").waitFor();
    await data.fill(whole);
    await tab.getByRole("button", { name: "clip.toml", exact: true }).click();
    await head.getByText(/· saved/).waitFor();

    say("while the text is no TOML the form shows what was said last and takes nothing, and then it follows again");
    const sheet = tab.getByRole("textbox", { name: "clip.toml" });
    const epochs = tab.getByRole("region", { name: "Required" }).getByLabel("epochs");
    const written = await sheet.inputValue();
    await sheet.fill(`${written}\n[broken`);
    await tab.getByText("The form follows when the text is valid TOML again").waitFor();
    assert.equal(await epochs.inputValue(), "9");
    assert(await epochs.isDisabled());
    await tab.screenshot({ path: join(shots, "form-waits.png") });
    await narrow(tab, "form-waits");
    await sheet.fill(written.replace("epochs = 9", "epochs = 8"));
    await until("it follows", async () => (await epochs.isEnabled()) && (await epochs.inputValue()) === "8");
    await epochs.fill("6");
    await until("it is written", async () => /^epochs = 6$/m.test(await sheet.inputValue()));
    watch.none("a configuration by the form");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}

export async function conflict(browser) {
  const lab = new Lab();
  const server = await serve(lab.root);
  try {
    const { context, watch } = await visitor(browser, server);
    // A file that was removed is looked for.
    watch.expected = /404|409/;
    const [one, other] = [await context.newPage(), await context.newPage()];
    await one.goto(server.link);
    await one.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    const epochs = (tab) => tab.getByRole("region", { name: "Required" }).getByLabel("epochs");
    const open = async (tab) => {
      await tab.goto(`${server.origin}/configs/tiny.toml`);
      await epochs(tab).waitFor();
    };

    const kept = lab.read("configs/tiny.toml");
    say("two tabs edit one configuration: the second to save is told, and nothing is lost");
    await open(one);
    await open(other);
    await epochs(one).fill("11");
    await save(one);
    await epochs(other).fill("22");
    await other.getByText("changed, not saved").waitFor();
    await other.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("alert").getByText("was changed by somebody else meanwhile").waitFor();
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 11$/m);
    await narrow(other, "conflict-note");

    say("it is saved under another name");
    await other.getByRole("button", { name: "Save under another name…" }).click();
    assert.equal(await other.getByRole("dialog").getByLabel("Name").inputValue(), "tiny-2");
    await accessible(other, "a conflict's other name");
    await other.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
    await other.waitForURL(/\/configs\/tiny-2\.toml/);
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 11$/m);
    assert.match(lab.read("configs/tiny-2.toml"), /^epochs = 22$/m);
    assert.match(lab.read("configs/tiny-2.toml"), /^dataset = 'configs\/tiny-2-dataset\.toml'$/m);
    assert.equal(lab.read("configs/tiny-2-dataset.toml"), lab.read("configs/tiny-dataset.toml"));
    assert.equal(checked(lab, "tiny-2.toml").code, 0);

    say("or it overwrites what it has looked at, and that alone");
    await open(other);
    await epochs(one).fill("33");
    await save(one);
    await epochs(other).fill("44");
    await other.getByText("changed, not saved").waitFor();
    await other.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("button", { name: "See the difference…" }).click();
    const dialog = other.getByRole("dialog");
    await dialog.getByText("− epochs = 33").waitFor();
    await dialog.getByText("+ epochs = 44").waitFor();
    await other.screenshot({ path: join(shots, "conflict.png") });
    await narrow(other, "conflict");
    await epochs(one).fill("55");
    await save(one);
    await dialog.getByRole("button", { name: "Overwrite it with yours" }).click();
    await other.getByText("was changed by somebody else meanwhile").nth(1).waitFor();
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 55$/m);
    await dialog.getByRole("button", { name: "Decide later" }).click();
    await other.getByRole("button", { name: "See the difference…" }).click();
    await dialog.getByText("− epochs = 55").waitFor();
    await dialog.getByRole("button", { name: "Overwrite it with yours" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 44$/m);

    say("or it takes what is on the disk");
    await epochs(one).fill("66");
    await one.getByText("changed, not saved").waitFor();
    await one.getByRole("button", { name: "Save", exact: true }).click();
    await one.getByRole("button", { name: "Take what is on the disk" }).click();
    await until("it has that", async () => (await epochs(one).inputValue()) === "44");
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 44$/m);

    say("of a file that was removed nothing is offered to be taken or compared: it is written anew, or left");
    await open(other);
    rmSync(lab.path("configs/tiny.toml"));
    await epochs(other).fill("45");
    await other.getByText("changed, not saved").waitFor();
    await other.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("alert").getByText("was removed meanwhile").waitFor();
    await other.getByRole("button", { name: "Write it anew" }).waitFor();
    for (const name of ["Take what is on the disk", "See the difference…"]) assert.equal(await other.getByRole("button", { name }).count(), 0);
    await other.screenshot({ path: join(shots, "removed.png") });
    await narrow(other, "removed");
    await other.getByRole("button", { name: "Write it anew" }).click();
    await other.getByText(/· saved/).waitFor();
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 45$/m);
    for (const name of ["tiny.toml", "tiny-dataset.toml"]) rmSync(lab.path(`configs/${name}`));
    await epochs(other).fill("46");
    await other.getByText("changed, not saved").waitFor();
    await other.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("button", { name: "Write it anew" }).click();
    await other.getByText(/· saved/).waitFor();
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 46$/m);
    rmSync(lab.path("configs/tiny.toml"));
    await epochs(other).fill("47");
    await other.getByText("changed, not saved").waitFor();
    await other.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("button", { name: "Leave it removed" }).click();
    await other.waitForURL(/\/configs$/);
    assert.equal(existsSync(lab.path("configs/tiny.toml")), false);
    assert.equal(await other.getByText(/unsaved|not saved/).count(), 0);
    lab.write("configs/tiny.toml", kept);
    await open(one);

    say("what is started is what is shown, or nothing");
    await open(other);
    await epochs(one).fill("77");
    await save(one);
    await other.getByRole("button", { name: "Start…" }).click();
    await dialog.getByRole("button", { name: "Start", exact: true }).click();
    await dialog.getByRole("alert").getByText("was changed meanwhile").waitFor();
    assert.equal(existsSync(lab.path("runs")), false);
    await dialog.getByRole("button", { name: "Not now" }).click();

    say("a field that is emptied and filled again keeps its place and its comment");
    lab.write("configs/tiny.toml", lab.read("configs/tiny.toml").replace(/^epochs = 77$/m, "epochs = 77 # as I like it"));
    await open(one);
    await epochs(one).fill("");
    await field(one, "epochs").getByText("is missing").waitFor();
    await epochs(one).fill("88");
    await one.getByText("changed, not saved").waitFor();
    await save(one);
    assert.match(lab.read("configs/tiny.toml"), /^epochs = 88 # as I like it$/m);
    watch.none("a conflict");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}
