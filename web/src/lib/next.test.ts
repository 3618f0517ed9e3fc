import { expect, test } from "vitest";
import type { Machine, RunRow } from "../api/types";
import { next } from "./next";

const machine = { configs: 1, has_data: true } as Machine;
const run = (it: Partial<RunRow>) => ({ id: "r", name: "wan", live: false, queued: false, state: "completed", ...it }) as RunRow;
const check = (known: Partial<Parameters<typeof next>[0]>) =>
  next({ machine, runs: [], newest: null, setupMissing: 0, setupRunning: false, ...known })?.text ?? null;

test("setup comes first, unless it runs, something trains, or nobody knows yet", () => {
  expect(check({ setupMissing: 3 })).toBe("Set up this machine");
  expect(check({ setupMissing: 3, setupRunning: true })).toBeNull();
  expect(check({ setupMissing: null })).toBeNull();
  expect(check({ setupMissing: 3, runs: [run({ live: true, state: "training" })] })).toBeNull();
});

test("then a first configuration, data, a first run", () => {
  expect(check({ machine: { ...machine, configs: 0 } })).toBe("Make your first training");
  expect(check({ machine: { ...machine, has_data: false } })).toBe("Bring in your images or videos");
  expect(check({})).toBe("Look at your data");
});

test("a configuration with errors is mended before anything is looked at or started", () => {
  const newest = { name: "wan.toml", errors: 2 };
  expect(next({ machine, runs: [], newest, setupMissing: 0, setupRunning: false })).toEqual({
    text: "Mend wan.toml",
    why: "It cannot be trained with: 2 errors. The form says at each field what is wrong and what would be right.",
    do: { href: "/configs/wan.toml", title: "Mend it" },
  });
  expect(check({ newest: { name: "wan.toml", errors: 0 } })).toBe("Look at your data");
  expect(check({ newest, runs: [run({})] })).toBe("Mend wan.toml");
  expect(check({ newest, runs: [run({ state: "failed" })] })).toBe("See why wan failed");
  expect(check({ newest, runs: [run({ live: true, state: "training" })] })).toBeNull();
});

test("a newest run that failed is looked at; an older one is history", () => {
  const failed = run({ state: "failed" });
  expect(check({ runs: [failed, run({})] })).toBe("See why wan failed");
  expect(check({ runs: [run({}), failed] })).toBeNull();
});
