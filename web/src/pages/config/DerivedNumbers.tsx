import type { Derived } from "../../api/types";
import { bytes, compact, count, NONE } from "../../lib/format";

/** What follows from the settings together. */
export function DerivedNumbers({ it }: { it: Derived | null | undefined }) {
  const copies = it?.copies != null && it.pipeline_stages != null ? `${it.copies} × ${it.pipeline_stages}` : NONE;
  const disk = it?.saved_bytes != null ? `${bytes(it.saved_bytes)}` : NONE;
  return (
    <dl className="stats" title={it?.size_unknown ?? undefined}>
      <div><dt>GPUs</dt><dd>{count(it?.gpus)}<small title="copies of the model × stages of each"> {copies}</small></dd></div>
      <div><dt>Global batch</dt><dd>{count(it?.global_batch)}</dd></div>
      <div><dt>Steps per epoch</dt><dd>{count(it?.steps_per_epoch)}</dd></div>
      <div><dt>Steps in all</dt><dd>{count(it?.total_steps)}</dd></div>
      <div><dt>Trained weights</dt><dd>{compact(it?.trained_weights)}</dd></div>
      <div><dt>Saved models</dt><dd>{count(it?.saved_models)}<small> {disk}</small></dd></div>
      <div><dt>A checkpoint</dt><dd>{bytes(it?.checkpoint_bytes)}</dd></div>
    </dl>
  );
}
