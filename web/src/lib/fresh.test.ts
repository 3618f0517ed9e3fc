import { expect, test } from "vitest";
import type { Job } from "../api/types";
import { again, FRESH_MS } from "./fresh";

const at = (minutes: number) => new Date(Date.UTC(2026, 0, 1, 12, minutes)).toISOString();
const job = (id: string, kind: string, started: number, ended: number | null) =>
  ({ id, kind, started: at(started), ended: ended === null ? null : at(ended), state: ended === null ? "running" : "done" }) as Job;
const known = { kind: "doctor", after: ["setup"], written: null, taken: new Set<string>(), visit: Date.parse(at(0)) };
const reason = (jobs: Job[], more: { written?: string; visit?: number } = {}) => again({ ...known, ...more, jobs }).reason;

test("there is a look if there is none, and none while there is one that holds", () => {
  expect(reason([])).toBe("none");
  expect(reason([job("s", "setup", 0, null)])).toBe("first");
  expect(reason([job("d", "doctor", 1, 2)])).toBeNull();
  expect(reason([job("d", "doctor", 1, null)])).toBeNull();
});

test("there is another after a setup, after a while, and after a change of the settings", () => {
  expect(reason([job("s", "setup", 2, 3), job("d", "doctor", 1, 2)])).toBe("d before s");
  expect(reason([job("s", "setup", 2, null), job("d", "doctor", 1, 2)])).toBeNull();
  expect(reason([job("d", "doctor", 0, 1)], { visit: Date.parse(at(1)) + FRESH_MS })).toBe("d is old");
  expect(reason([job("d", "doctor", 1, 2)], { written: at(5) })).toBe(`d before ${at(5)}`);
  expect(reason([job("d", "doctor", 6, 7)], { written: at(5) })).toBeNull();
});

test("a setup that ended before the look is no reason", () => {
  expect(reason([job("d", "doctor", 6, null), job("s", "setup", 2, 3)])).toBeNull();
  expect(reason([job("d", "doctor", 6, 7), job("s", "setup", 2, 3)])).toBeNull();
});

test("settings of the future are a reason once", () => {
  const taken = new Set<string>();
  const jobs = [job("d0", "doctor", 1, 2)];
  const started: string[] = [];
  for (let minute = 3; minute < 10; minute++) {
    const { written, reason } = again({ ...known, jobs, written: at(50), taken });
    if (reason === null) continue;
    if (written !== null) taken.add(written);
    started.push(reason);
    jobs.unshift(job(`d${minute}`, "doctor", minute, minute));
  }
  expect(started).toEqual([`d0 before ${at(50)}`]);
});
