import { expect, test } from "vitest";
import { anywhere, here, onPage, START_FLAGS } from "./here";

const check = (text: string, flags?: Record<string, string>) => {
  const it = here(text, flags);
  return it.is === "control" ? [it.name, it.href] : it.is;
};

test("a command that the page has something for is that, where it is", () => {
  expect(check("dpgui setup")).toEqual(["Set up", "/"]);
  expect(check("dpgui doctor --fix")).toEqual(["Fix what is safe", "/"]);
  expect(check("dpgui config check configs/my wan.toml")).toBe("command");
  expect(check("dpgui config check configs/wan.toml")).toEqual(["Configurations", "/configs/wan.toml"]);
  expect(check("dpgui data check")).toEqual(["Data", "/data"]);
  expect(check("dpgui logs -f 20260101T000000Z-wan")).toEqual(["its log", "/runs/20260101T000000Z-wan?tab=log"]);
  expect(check("dpgui stop RUN")).toEqual(["Runs", "/runs"]);
});

test("a flag is what stands beside it, and nothing where nothing does", () => {
  expect(check("--share", START_FLAGS)).toEqual(["Share GPUs with another training", null]);
  expect(check("--gpus 0,1", START_FLAGS)).toEqual(["GPUs", null]);
  expect(check("--hostfile FILE", START_FLAGS)).toEqual(["Machines", null]);
  expect(check("--share")).toBe("text");
  expect(check("--ipc=host", START_FLAGS)).toBe("text");
});

test("what only a terminal does is a command, unless there is something to fill in", () => {
  expect(check("dpgui setup --repair")).toBe("command");
  expect(check("dpgui clean --all")).toBe("command");
  expect(check("nvidia-smi")).toBe("command");
  expect(check("dpgui config set DATASET.toml resolutions VALUE")).toBe("text");
  expect(check("dpgui update --commit SHA")).toBe("text");
  expect(check("dpgui.toml")).toBe("text");
  expect(check("dpgui train")).toBe("text");
});

test("a command works from any folder", () => {
  expect(anywhere("dpgui setup --repair", "/w")).toBe("dpgui -C /w setup --repair");
  expect(anywhere("dpgui setup --repair", "/it's mine")).toBe(`dpgui -C '/it'\\''s mine' setup --repair`);
  expect(anywhere("dpgui setup --repair", undefined)).toBe("dpgui setup --repair");
  expect(anywhere("nvidia-smi", "/w")).toBe("nvidia-smi");
});

test("who has pressed a button has run no command", () => {
  expect(onPage("free some space on `/w`, then run the same command again")).toBe("free some space on `/w`, then try it again");
});
