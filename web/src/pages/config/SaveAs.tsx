import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { Dialog } from "../../components/Dialog";
import { ErrorNote } from "../../components/ErrorNote";
import { Prose } from "../../components/Prose";
import { stem } from "../../lib/form";
import { freeName, isName } from "./names";
import type { Draft } from "./useDraft";

/** The pair under a name that no file has; the files of the old name stay as they are. */
export function SaveAs({ draft, close, done }: { draft: Draft; close: () => void; done: (name: string) => void }) {
  const free = useQuery(freeName(draft.name)).data;
  return free !== undefined && <Form draft={draft} close={close} done={done} free={free} />;
}

function Form({ draft, close, done, free }: { draft: Draft; close: () => void; done: (name: string) => void; free: string }) {
  const [error, setError] = useState<unknown>(null);
  const { register, handleSubmit, formState } = useForm({ mode: "onChange", defaultValues: { name: free } });
  const save = handleSubmit(async (it) => {
    setError(null);
    const name = `${stem(it.name.trim())}.toml`;
    try {
      await draft.saveAs(name);
      done(name);
    } catch (failure) {
      setError(failure);
    }
  });
  return (
    <Dialog title="Save under another name" close={close}
      footer={<><button className="button" onClick={close}>Back</button><button className="button primary" disabled={formState.isSubmitting} onClick={() => void save()}>Save</button></>}>
      <form className="stack" onSubmit={(event) => void save(event)}>
        {error !== null && <ErrorNote error={error} />}
        <label className="field">
          <span className="label">Name</span>
          <input className="input" aria-invalid={formState.errors.name !== undefined} aria-describedby="name-problem" autoComplete="off" spellCheck={false}
            {...register("name", { validate: isName })} />
          <span id="name-problem" className="small bad" aria-live="polite">{formState.errors.name && <Prose text={formState.errors.name.message ?? ""} />}</span>
        </label>
        {draft.texts.dataset !== null && <p className="small muted">The dataset file is saved beside it, under the name <code>NAME-dataset.toml</code>.</p>}
        <button type="submit" hidden />
      </form>
    </Dialog>
  );
}
