// The one thing that somebody should do now.
import type { Machine, RunRow } from "../api/types";
import { plural } from "./format";
import { links } from "./links";
import { tone } from "./runs";

export type Next = { text: string; why: string; do: { href: string; title: string } | { job: "setup" | "demo"; title: string } };

/** The configuration that was changed last; nobody is told of what was left alone long ago. */
export type Newest = { name: string; errors: number };

type Known = { machine: Machine; runs: RunRow[]; newest: Newest | null; setupMissing: number | null; setupRunning: boolean };

/** `null`: everything is under way, or not enough is known. */
export function next({ machine, runs, newest, setupMissing, setupRunning }: Known): Next | null {
  const live = runs.find((run) => run.live && !run.queued);
  const failed = runs[0] && !runs[0].live && tone(runs[0]) === "bad" ? runs[0] : null;
  if (setupRunning || setupMissing === null) return null;
  if (setupMissing > 0 && !live) {
    return {
      text: "Set up this machine",
      why: "A training needs the trainer, Python and PyTorch. This fetches and verifies all of it; nothing outside the workspace is changed.",
      do: { job: "setup", title: "Set up" },
    };
  }
  if (live) return null;
  if (failed) {
    return {
      text: `See why ${failed.name} failed`,
      why: failed.diagnosis ?? `The training ${failed.sentence ?? "ended before it was done"}.`,
      do: { href: links.run(failed.id, "diagnosis"), title: "Open the diagnosis" },
    };
  }
  if (machine.configs === 0) {
    return {
      text: "Make your first training",
      why: "Choose a model type; the form knows every setting of it, and says what is wrong before anything runs.",
      do: { href: links.fresh(), title: "New training" },
    };
  }
  if (newest && newest.errors > 0) {
    return {
      text: `Mend ${newest.name}`,
      why: `It cannot be trained with: ${plural(newest.errors, "error")}. The form says at each field what is wrong and what would be right.`,
      do: { href: links.config(newest.name), title: "Mend it" },
    };
  }
  if (runs.length === 0) {
    return machine.has_data
      ? { text: "Look at your data", why: "See which files will be trained with, how they are cropped, and which have no caption.", do: { href: links.data(), title: "Check the data" } }
      : { text: "Bring in your images or videos", why: "Put them into `data/` in the workspace, each with its caption in a `.txt` file of the same name; or name another folder in the configuration.", do: { href: links.configs, title: "Configurations" } };
  }
  return null;
}
