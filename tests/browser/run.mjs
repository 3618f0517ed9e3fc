// The page in a real browser, against the real server and real trainings.
//
//   node run.mjs DPGUI WORKSPACE PAGE SHOTS [SCENE...]
//
// WORKSPACE is one that `dpgui demo` has set up; PAGE a built page; screenshots go to SHOTS. Without a SCENE all are played
// but `merged` and `setup`, whose WORKSPACE is one that tests/it/ui_page.rs makes: two ranks train there, or nothing is set up. It fails with the first
// thing that is not as it should be.
import { join } from "node:path";
import { advice } from "./advice.mjs";
import { crowd } from "./crowd.mjs";
import { details } from "./details.mjs";
import { conflict, wrongPath } from "./editing.mjs";
import { deep } from "./deep.mjs";
import { deleted, hostile } from "./hostile.mjs";
import { settings } from "./settings.mjs";
import { tabs } from "./tabs.mjs";
import { past } from "./past.mjs";
import { setup } from "./setup.mjs";
import { machines } from "./machines.mjs";
import { merged } from "./merged.mjs";
import { launch, say, shots } from "./support.mjs";
import { visit } from "./visit.mjs";

const scenes = { visit, hostile, deleted, wrongPath, conflict, tabs, machines, advice, settings, deep, details, crowd, past, merged, setup };
const wanted = process.argv.slice(6);
const names = wanted.length > 0 ? wanted : Object.keys(scenes).filter((name) => !["merged", "setup"].includes(name));

const browser = await launch();
try {
  for (const name of names) await scenes[name](browser);
} catch (problem) {
  // What was to be seen says more than a line of code.
  for (const [at, it] of browser.contexts().flatMap((context) => context.pages()).entries()) {
    await it.screenshot({ path: join(shots, `failed-${at}.png`) }).catch(() => {});
    say(`open at the end: ${it.url()}`);
  }
  throw problem;
} finally {
  await browser.close();
}
say("all is as it should be");
