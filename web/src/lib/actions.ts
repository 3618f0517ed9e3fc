// What may be done with a run, and what each does.
import type { StopManner } from "../api/types";

export const STOPS: { manner: StopManner; title: string; does: string; loses: boolean }[] = [
  { manner: "graceful", title: "Save and stop", does: "The trainer finishes its step, writes a checkpoint and leaves. Nothing is lost.", loses: false },
  { manner: "no-save", title: "Stop without saving", does: "The trainer is asked to leave at once. What came after the last checkpoint is lost.", loses: true },
  { manner: "now", title: "Stop now", does: "Every process of the run is ended within seconds. What came after the last checkpoint is lost, and a checkpoint that is being written is not usable.", loses: true },
];
