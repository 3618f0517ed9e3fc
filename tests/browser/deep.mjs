// Paths are as long as somebody's folders are deep, and have no place to break a line at: every page must hold them, on a phone too.
import { Lab } from "./lab.mjs";
import { fits, say, serve, visitor } from "./support.mjs";

const DEEP = `${"a-folder-whose-name-has-no-end".repeat(3)}/${"ohne_ein_einziges_Leerzeichen_".repeat(3)}`;

export async function deep(browser) {
  const lab = new Lab(DEEP);
  const server = await serve(lab.root);
  try {
    say("paths without an end make no page too wide");
    lab.write("configs/tiny-dataset.toml", `resolutions = [16]\n[[directory]]\npath = '${lab.path("data")}'\n`);
    const last = `FileNotFoundError: [Errno 2] No such file or directory: '${lab.path("data/gone.png")}'`;
    const id = lab.train({ STEPS: "3", END: "1", LAST: last }, ["--name", "a".repeat(60)]);
    lab.run("queue", "hold");
    lab.train({}, ["--queue", "--name", "b".repeat(60)]);
    const { context, watch } = await visitor(browser, server);
    const tab = await context.newPage();
    await tab.goto(server.link);
    await tab.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    const runs = ["log", "charts", "checkpoints", "config", "diagnosis"].map((kind) => `/runs/${id}?tab=${kind}`);
    const pages = ["/", "/runs", ...runs, `/runs/compare?ids=${id}`, "/queue", "/new", "/configs", "/configs/tiny.toml", "/data", "/data?dataset=configs/tiny-dataset.toml", "/settings"];
    for (const path of pages) {
      for (const width of [1280, 390]) {
        await tab.setViewportSize({ width, height: 800 });
        await tab.goto(server.origin + path);
        await tab.getByRole("heading", { level: 1 }).first().waitFor();
        await tab.waitForTimeout(600);
        await fits(tab, path);
      }
    }
    watch.none("long paths");
    await context.close();
  } finally {
    server.child.kill("SIGINT");
    lab.close();
  }
}
