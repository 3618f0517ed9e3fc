// A workspace that can train without Python packages: `tests/fakes/deepspeed.py` stands in for the trainer, the rest is real.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { dpgui } from "./support.mjs";

const TRAINING = `output_dir = 'output'
dataset = 'configs/tiny-dataset.toml'
epochs = 1
max_steps = 100000
save_every_n_epochs = 1
[model]
type = 'demo'
dtype = 'float32'
[adapter]
type = 'lora'
rank = 4
[optimizer]
type = 'adamw'
`;

export class Lab {
  /** Its workspace is a folder `name` of its own, if one is named. */
  constructor(name = "") {
    this.own = mkdtempSync(join(tmpdir(), "dpgui-page-"));
    this.root = join(this.own, name);
    const fake = readFileSync(new URL("../fakes/deepspeed.py", import.meta.url), "utf8");
    this.write("dpgui.toml", "");
    this.write("venv/bin/deepspeed", fake);
    this.write("venv/bin/python", `#!/bin/sh\nexec python3 -u '${this.path("venv/bin/deepspeed")}' rank "$@"\n`);
    for (const name of ["deepspeed", "python"]) chmodSync(this.path(`venv/bin/${name}`), 0o755);
    this.write("vendor/diffusion-pipe/train.py", "");
    this.write("configs/tiny.toml", TRAINING);
    this.write("configs/tiny-dataset.toml", "resolutions = [16]\n[[directory]]\npath = 'data'\n");
    this.picture("a");
  }
  /** With a caption. */
  picture(name) {
    this.write(`data/${name}.png`, PICTURE);
    this.write(`data/${name}.txt`, name);
  }
  path(name) {
    return join(this.root, name);
  }
  write(name, content) {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), content);
  }
  read(name) {
    return readFileSync(this.path(name), "utf8");
  }
  run(...args) {
    return execFileSync(dpgui, ["-C", this.root, ...args], { encoding: "utf8", stdio: "pipe" });
  }
  /** `knobs` are those of the stand-in, without `FAKE_`. */
  env(knobs) {
    const named = Object.fromEntries(Object.entries(knobs).map(([name, value]) => [`FAKE_${name}`, value]));
    return { ...process.env, DPGUI_GPU_SOURCE: "none", ...named };
  }
  /** Starts a training. */
  train(knobs, args = [], more = {}) {
    return execFileSync(dpgui, ["-C", this.root, "train", this.path("configs/tiny.toml"), "--detach", ...args], { encoding: "utf8", stdio: "pipe", env: { ...this.env(knobs), ...more } }).trim();
  }
  /** Ends what runs, and leaves nothing. */
  close() {
    try {
      // Or the next one would begin.
      this.run("queue", "hold");
      this.run("stop", "--now");
    } catch {
      // Nothing runs any more.
    }
    rmSync(this.own, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** 16 × 16 pixels, grey. */
const PICTURE = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAD0lEQVR4nGNoQAMMI1sAAAUMgAFaSOXNAAAAAElFTkSuQmCC", "base64");
