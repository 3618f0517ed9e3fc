// What a command says while it works, as the page shows it. The shapes are those of `dpgui --json`.
import type { Job, JobEvent } from "../api/types";
import { bytes, brief } from "./format";

const text = (it: unknown): string => (typeof it === "string" ? it : "");
const number = (it: unknown): number | null => (typeof it === "number" ? it : null);

const took = (seconds: number | null) => (seconds === null ? "" : `, in ${brief(seconds)}`);

/** One line about an event, `null` if it is not for people to read one by one. */
export function lineOf(it: JobEvent): string | null {
  switch (it.event) {
    case "step-started":
      return `${text(it.step)}: ${text(it.why)}`;
    case "step-done":
      return `${text(it.step)}: ${text(it.what)}${took(number(it.seconds))}`;
    case "step-failed":
    case "warning":
      return text(it.message);
    case "progress": {
      const [done, total] = [number(it.bytes), number(it.total)];
      return [`${text(it.what)}:`, done === null ? "" : `${bytes(done)} of ${bytes(total)}`, text(it.doing)].filter(Boolean).join(" ");
    }
    case "exported":
      return `${it.already === true ? "Nothing new: the adapter was there already" : "The adapter was made"} (step ${number(it.step) ?? "?"}, ${bytes(number(it.bytes))}): ${text(it.adapter)}`;
    case "waiting":
      return text(it.message) || text(it.what) || "waiting";
    default:
      return null;
  }
}

export type Step = {
  id: string;
  state: "there" | "pending" | "running" | "done" | "failed" | "broken off";
  what: string;
  why: string;
  bytes: number | null;
  /** How far it is, of what. */
  far: { bytes: number; total: number } | null;
  doing: string;
  /** What it took, once it is done (s). */
  seconds: number | null;
};

export type SetupState = {
  steps: Step[];
  total: { bytes: number; disk: number; free: number | null } | null;
  overall: { bytes: number; total: number; rate: number; left: number | null } | null;
  torch: { because: string; warning: string | null } | null;
  warnings: string[];
};

/** Where a setup is, from all that its plan and its run have said; once it is over nothing of it runs. */
export function setupState(events: JobEvent[], isOver = false): SetupState {
  const steps = new Map<string, Step>();
  const it: SetupState = { steps: [], total: null, overall: null, torch: null, warnings: [] };
  const step = (id: string): Step => {
    const known = steps.get(id) ?? { id, state: "pending", what: "", why: "", bytes: null, far: null, doing: "", seconds: null };
    steps.set(id, known);
    return known;
  };
  for (const event of events) {
    switch (event.event) {
      case "plan":
        Object.assign(step(text(event.step)), {
          state: event.pending ? "pending" : "there", what: text(event.what), why: text(event.why), bytes: number(event.bytes),
        });
        break;
      case "plan-total":
        it.total = { bytes: number(event.bytes) ?? 0, disk: number(event.disk) ?? 0, free: number(event.free) };
        break;
      case "torch-chosen":
        it.torch = { because: text(event.because), warning: text(event.warning) || null };
        break;
      case "step-started":
        Object.assign(step(text(event.step)), { state: "running", why: text(event.why), seconds: null });
        break;
      case "step-done":
        Object.assign(step(text(event.step)), { state: "done", what: text(event.what), far: null, doing: "", seconds: number(event.seconds) });
        break;
      case "step-failed":
        Object.assign(step(text(event.step)), { state: "failed", doing: text(event.message) });
        break;
      case "progress":
        move(steps, event);
        break;
      case "progress-total":
        it.overall = {
          bytes: number(event.bytes) ?? 0, total: number(event.total) ?? 0,
          rate: number(event.bytes_per_second) ?? 0, left: number(event.seconds_left),
        };
        break;
      case "warning":
        it.warnings.push(text(event.message));
        break;
    }
  }
  it.steps = [...steps.values()].map((step) => (isOver && step.state === "running" ? { ...step, state: "broken off" } : step));
  return it;
}

/** Progress is told by labels that are mostly the steps' names. */
function move(steps: Map<string, Step>, event: JobEvent) {
  const step = steps.get(text(event.what));
  if (!step) return;
  const [done, total] = [number(event.bytes), number(event.total)];
  step.far = done !== null && total ? { bytes: done, total } : null;
  step.doing = text(event.doing);
}

/** Of which plan, and of which setup that began after it, the steps are told. */
export function setupJobs(all: Job[], newest: Job | null): { plan: Job | null; since: Job | null } {
  const last = all.find((it) => it.kind === "setup") ?? null;
  // While a new look is taken after a setup, the one before it and what the setup has done say the same.
  const earlier = all.find((it) => it.kind === "setup-plan" && it.state === "done");
  const plan = newest?.state === "running" && earlier && last && last.started > earlier.started ? earlier : newest;
  return { plan, since: plan && last && last.started > plan.started ? last : null };
}

export type Check = {
  group: string;
  id: string;
  subject: string | null;
  verdict: "ok" | "note" | "warning" | "problem";
  found: string;
  advice: string | null;
  fix: string | null;
};

const ORDER = { problem: 0, warning: 1, note: 2, ok: 3 };

/** What a doctor's run found, the worst first. */
export function checks(events: JobEvent[]): Check[] {
  const found = events.filter((it) => it.event === "check").map((it): Check => ({
    group: text(it.group), id: text(it.id), subject: text(it.subject) || null,
    verdict: (text(it.verdict) || "note") as Check["verdict"], found: text(it.found),
    advice: text(it.advice) || null, fix: text(it.fix) || null,
  }));
  return found.toSorted((a, b) => (ORDER[a.verdict] ?? 2) - (ORDER[b.verdict] ?? 2));
}
