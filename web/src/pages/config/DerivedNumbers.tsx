import type { Derived } from "../../api/types";
import { bytes, compact, count, NONE } from "../../lib/format";

/** What follows from the settings together. */
export function DerivedNumbers({ it, gpus, setGpus }: { it: Derived | null | undefined; gpus: number | undefined; setGpus: (it: string) => void }) {
  // 2 × 1: two copies of the model, each whole on one GPU.
  const copies = it?.copies != null && it.pipeline_stages != null ? `${it.copies} × ${it.pipeline_stages}` : NONE;
  const disk = it?.saved_bytes != null ? `${bytes(it.saved_bytes)}` : NONE;
  return (
    <dl className="stats" title={it?.size_unknown ?? undefined}>
      <div>
        <dt><label htmlFor="gpus">On GPUs</label></dt>
        <dd><input id="gpus" className="input gpus" type="number" min={1} max={1024} value={gpus ?? ""} onChange={(event) => setGpus(event.target.value)} />
          <small title="copies of the model × stages of each"> {copies}</small></dd>
      </div>
      <div><dt>Global batch</dt><dd>{count(it?.global_batch)}</dd></div>
      <div><dt>Steps per epoch</dt><dd>{count(it?.steps_per_epoch)}</dd></div>
      <div><dt>Steps in all</dt><dd>{count(it?.total_steps)}</dd></div>
      <div><dt>Trained weights</dt><dd>{compact(it?.trained_weights)}</dd></div>
      <div><dt>Saved models</dt><dd>{count(it?.saved_models)}<small> {disk}</small></dd></div>
      <div><dt>A checkpoint</dt><dd>{bytes(it?.checkpoint_bytes)}</dd></div>
    </dl>
  );
}
