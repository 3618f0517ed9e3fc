import { expect, test } from "vitest";
import type { Job } from "../api/types";
import { checks, lineOf, setupJobs, setupState } from "./jobs";

const plan = (step: string, pending: boolean) => ({ event: "plan", step, pending, missing: pending, what: `${step} 1`, why: "not there", bytes: 10, disk: 20 });

test("a plan and what happens then make the state of each step", () => {
  const it = setupState([
    { event: "torch-chosen", profile: "cpu", because: "no GPU", warning: null },
    plan("node", true), plan("uv", true), plan("farm", false),
    { event: "plan-total", bytes: 20, disk: 40, unknown: 0, free: 100 },
    { event: "step-started", step: "node", why: "not there" },
    { event: "step-started", step: "uv", why: "not there" },
    { event: "progress", what: "node", bytes: 5, total: 10, doing: "unpacking" },
    { event: "step-done", step: "uv", what: "uv 2", seconds: 1.5 },
  ]);
  expect(it.steps.map((step) => [step.id, step.state, step.what, step.far?.bytes ?? null, step.seconds])).toEqual([
    ["node", "running", "node 1", 5, null], ["uv", "done", "uv 2", null, 1.5], ["farm", "there", "farm 1", null, null],
  ]);
  expect([it.total, it.torch]).toEqual([{ bytes: 20, disk: 40, free: 100 }, { because: "no GPU", warning: null }]);
});

test("a failed step says why", () => {
  const [step] = setupState([plan("node", true), { event: "step-failed", step: "node", message: "no network" }]).steps;
  expect([step?.state, step?.doing]).toEqual(["failed", "no network"]);
});

test("the doctor's worst finding is first, in the doctor's own order otherwise", () => {
  const check = (id: string, verdict: string) => ({ event: "check", group: "machine", id, verdict, found: id });
  expect(checks([check("a", "ok"), check("b", "problem"), check("c", "ok"), { event: "doctor-done" }]).map((it) => it.id)).toEqual(["b", "a", "c"]);
});

test("events have a line where people read them", () => {
  const events = [
    { event: "progress", what: "venv", bytes: 1024, total: 2048, doing: "torch" },
    { event: "step-started", step: "uv", why: "not installed" },
    { event: "plan-total" },
    { event: "step-done", step: "farm", what: "24 links", seconds: 0.0312 },
  ];
  expect(events.map(lineOf)).toEqual(["venv: 1.00 KiB of 2.00 KiB torch", "uv: not installed", null, "farm: 24 links, in 0.03s"]);
});

test("what a setup has done counts until a later plan is whole", () => {
  const job = (kind: string, started: string, state = "done") => ({ kind, started, state }) as Job;
  const [before, setup, after] = [job("setup-plan", "1"), job("setup", "2"), job("setup-plan", "3")];
  expect(setupJobs([before], before)).toEqual({ plan: before, since: null });
  expect(setupJobs([setup, before], before)).toEqual({ plan: before, since: setup });
  const looking = job("setup-plan", "3", "running");
  expect(setupJobs([looking, setup, before], looking)).toEqual({ plan: before, since: setup });
  expect(setupJobs([after, setup, before], after)).toEqual({ plan: after, since: null });
  // A look that nobody's setup came before may be of what somebody has changed in the terminal.
  expect(setupJobs([looking, before], looking)).toEqual({ plan: looking, since: null });
  expect(setupJobs([], null)).toEqual({ plan: null, since: null });
});

test("a step that ran when its setup ended is broken off", () => {
  const events = [{ event: "plan", step: "node", pending: true, what: "Node" }, { event: "step-started", step: "node", why: "not installed" }];
  expect(setupState(events).steps.map((it) => it.state)).toEqual(["running"]);
  expect(setupState(events, true).steps.map((it) => it.state)).toEqual(["broken off"]);
});

test("an export says what it made, and that it made nothing new", () => {
  const it = { event: "exported", step: 5, adapter: "/out/step5/adapter.safetensors", bytes: 2048, already: false };
  expect(lineOf(it)).toBe("The adapter was made (step 5, 2.00 KiB): /out/step5/adapter.safetensors");
  expect(lineOf({ ...it, already: true })).toMatch(/^Nothing new: the adapter was there already \(step 5/);
});
