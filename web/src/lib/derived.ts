// Why a number that follows from the settings is not known: what is missing, in few words.
import type { Derived } from "../api/types";

type Known = { derived: Derived | null | undefined; isCounted: boolean; gpus: number | undefined; hasEpochs: boolean; needsFiles: boolean };
export type Missing = Record<"copies" | "total" | "weights" | "saved" | "size" | "checkpoint", string | null>;

export function missing({ derived: it, isCounted, gpus, hasEpochs, needsFiles }: Known): Missing {
  if (!it) {
    const why = "needs a file without errors in its TOML";
    return { copies: null, total: why, weights: why, saved: why, size: null, checkpoint: why };
  }
  const count = isCounted ? null : "needs the count of steps";
  const weights = it.trained_weights !== null ? null : it.size_unknown !== null && /LoKr/.test(it.size_unknown) ? "not known for a LoKr" : needsFiles ? "needs the model's files" : "not known for this model";
  const unless = (value: number | null, why: string | null) => (value === null ? why : null);
  return {
    copies: unless(it.copies, gpus === undefined ? (needsFiles ? "say how many" : "it needs none") : `no multiple of ${it.pipeline_stages} stages`),
    total: unless(it.total_steps, count ?? (hasEpochs ? "not known" : "needs epochs")),
    weights,
    saved: unless(it.saved_models, count ?? "not known"),
    size: unless(it.saved_bytes, weights ?? "size not known for this type"),
    checkpoint: unless(it.checkpoint_bytes, weights ?? "not known for this optimizer"),
  };
}
