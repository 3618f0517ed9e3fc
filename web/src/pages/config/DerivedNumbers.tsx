import { Action } from "../../components/Action";
import { missing } from "../../lib/derived";
import { bytes, compact, count, moment } from "../../lib/format";
import type { Steps } from "./useSteps";

type Props = { steps: Steps; gpus: number | undefined; setGpus: (it: string) => void; countSteps: () => Promise<void>; saves: boolean; hasEpochs: boolean; needsFiles: boolean };

/** What follows from the settings together. */
export function DerivedNumbers({ steps: { derived: it, counted, job }, gpus, setGpus, countSteps, saves, hasEpochs, needsFiles }: Props) {
  // 2 × 1: two copies of the model, each whole on one GPU.
  const copies = it?.copies != null && it.pipeline_stages != null ? `${it.copies} × ${it.pipeline_stages}` : null;
  const disk = it?.saved_bytes != null && it.saved_models != null ? bytes(it.saved_bytes * it.saved_models) : null;
  const why = missing({ derived: it, isCounted: counted !== null, gpus, hasEpochs, needsFiles });
  const each = it && it.micro_batch_size * it.gradient_accumulation_steps;
  const counting = job?.state === "running";
  const what = `Looks at every file as the trainer would${saves ? "; what you changed is saved first" : ""}`;
  return (
    <dl className="stats" title={it?.size_unknown ?? undefined}>
      <div>
        <dt><label htmlFor="gpus">On GPUs</label></dt>
        <dd><input id="gpus" className="input gpus" type="number" min={1} max={1024} placeholder={needsFiles ? "?" : "–"} value={gpus ?? ""} onChange={(event) => setGpus(event.target.value)} />
          {copies ? <small title="copies of the model × stages of each"> {copies}</small> : <Why text={why.copies} />}</dd>
      </div>
      <div><dt>Global batch</dt><dd>{it && it.global_batch === null ? <>{count(each)}<small title="as many as there are copies of the model"> × copies</small></> : count(it?.global_batch)}</dd></div>
      <div><dt>Steps per epoch</dt>
        <dd>{counted
          ? <span title={`counted ${moment(job?.started)}, with the model trained ${counted.copies} times side by side`}>{count(counted.steps)}</span>
          : <Action className="small" act={countSteps} not={counting ? "it is being counted" : null} title={what}>{counting ? "Counting…" : saves ? "Save and count" : "Count"}</Action>}</dd></div>
      <div><dt>Steps in all</dt><dd>{why.total ? <Why text={why.total} /> : count(it?.total_steps)}</dd></div>
      <div><dt>Trained weights</dt><dd>{why.weights ? <Why text={why.weights} /> : compact(it?.trained_weights)}</dd></div>
      <div><dt>Saved models</dt><dd title={it?.saved_bytes != null ? `${bytes(it.saved_bytes)} each` : undefined}>{why.saved ? <Why text={why.saved} /> : <>{count(it?.saved_models)}{disk ? <small> {disk}</small> : <Why text={why.size} />}</>}</dd></div>
      <div><dt>A checkpoint</dt><dd>{why.checkpoint ? <Why text={why.checkpoint} /> : bytes(it?.checkpoint_bytes)}</dd></div>
    </dl>
  );
}

/** What a number needs that is not there. */
const Why = ({ text }: { text: string | null }) => (text === null ? null : <span className="why">{text}</span>);
