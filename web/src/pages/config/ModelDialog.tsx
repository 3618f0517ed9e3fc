import { useQuery } from "@tanstack/react-query";
import { useForm } from "react-hook-form";
import { useLocation } from "wouter";
import type { Model } from "../../api/types";
import { Dialog } from "../../components/Dialog";
import { Prose } from "../../components/Prose";
import { links } from "../../lib/links";
import { freeName, isName } from "./names";

type Choice = { name: string; preset: string; full: boolean };

export function ModelDialog({ model, close }: { model: Model; close: () => void }) {
  const free = useQuery(freeName(model.name)).data;
  return free !== undefined && <Choices model={model} free={free} close={close} />;
}

function Choices({ model, free, close }: { model: Model; free: string; close: () => void }) {
  const [, navigate] = useLocation();
  const { register, handleSubmit, formState } = useForm<Choice>({ mode: "onChange", defaultValues: { name: free, preset: "", full: false } });
  const go = handleSubmit((it) => {
    navigate(`${links.fresh(model.name, it.preset)}&name=${encodeURIComponent(it.name.trim())}${it.full ? "&full=1" : ""}`);
  });
  return (
    <Dialog title={model.title} close={close} footer={<><button className="button" onClick={close}>Back</button><button className="button primary" onClick={() => void go()}>Go on</button></>}>
      <form className="stack" onSubmit={(event) => void go(event)}>
        {model.needs.length > 0 && (
          <div><p className="label">You need</p><ul className="small muted needs">{model.needs.map((it) => <li key={it}><Prose text={it} /></li>)}</ul></div>
        )}
        <label className="field">
          <span className="label">Name</span>
          <input className="input" aria-invalid={formState.errors.name !== undefined} aria-describedby="name-problem" autoFocus autoComplete="off" spellCheck={false}
            {...register("name", { validate: isName })} />
          <span id="name-problem" className="small bad" aria-live="polite">{formState.errors.name && <Prose text={formState.errors.name.message ?? ""} />}</span>
        </label>
        {model.presets.length > 0 && (
          <fieldset className="stack tight">
            <legend className="label">Preset</legend>
            <label className="check"><input type="radio" value="" {...register("preset")} /><span>None <span className="muted small">the usual values</span></span></label>
            {model.presets.map((it) => (
              <label key={it.name} className="check"><input type="radio" value={it.name} {...register("preset")} />
                <span>{it.name} <span className="muted small"><Prose text={it.source} />{it.full_finetune && ", without an adapter"}</span></span></label>
            ))}
          </fieldset>
        )}
        {model.full_finetune && (
          <label className="check"><input type="checkbox" {...register("full")} /><span>Train all of its weights instead of an adapter<br /><span className="small muted">Needs far more memory and disk.</span></span></label>
        )}
        <button type="submit" hidden />
      </form>
    </Dialog>
  );
}
