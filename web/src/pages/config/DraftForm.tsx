import { useEffect, useMemo, useState } from "react";
import { FormProvider, useForm } from "react-hook-form";
import type { Finding, Form, Values } from "../../api/types";
import { Action } from "../../components/Action";
import { FolderPicker } from "../../components/FolderPicker";
import { useTell } from "../../components/Toasts";
import { plural } from "../../lib/format";
import { blocks, findingsOf, fits, folders, split, texts, valueAt, type Block, type Placed } from "../../lib/form";
import { shown } from "../../lib/toml";
import type { Draft } from "./useDraft";
import { FieldRow } from "./FieldRow";

type Props = { form: Form; draft: Draft; training: Values | null; dataset: Values | null; findings: Finding[]; isBroken: boolean };

const NONE: Finding[] = [];
const NO_FIELDS: ReadonlySet<string> = new Set();

/** Every key of a model type, what must be given first. It shows what the texts say, and changes them. */
export function DraftForm({ form, draft, training, dataset, findings, isBroken }: Props) {
  const [words, setWords] = useState("");
  const [adding, setAdding] = useState(false);
  const tell = useTell();
  const all = useMemo(() => blocks(form, training, dataset), [form, training, dataset]);
  const values = useMemo(() => texts(all, training, dataset), [all, training, dataset]);
  const methods = useForm({ values, resetOptions: { keepDirtyValues: true } });
  const { reset } = methods;
  useEffect(() => {
    // What was typed meanwhile is in no text.
    if (isBroken) reset(values);
  }, [isBroken, reset, values]);
  const { refuse, refuseOnly } = draft;
  useEffect(() => {
    // What failed before is over when a text is no TOML, and when it is TOML again; and without the form nothing shows it.
    refuseOnly(NO_FIELDS);
    return () => refuseOnly(NO_FIELDS);
  }, [isBroken, refuseOnly]);
  useEffect(() => refuseOnly(new Set(all.flatMap((block) => block.fields).map((it) => it.place))), [all, refuseOnly]);
  const { required, rest } = useMemo(() => split(all), [all]);

  const found = (field: Placed) => {
    const its = findingsOf(findings, field);
    return its.length === 0 ? NONE : its;
  };
  const isSet = (field: Placed) => valueAt(field.file === "training" ? training : dataset, field.key) !== undefined;
  const row = (field: Placed, whole = false) => (
    <FieldRow key={field.place} field={field} findings={found(field)} setKey={draft.setKey} refused={draft.refused.get(field.place) ?? null} refuse={refuse} isBroken={isBroken} whole={whole} />
  );
  const section = (block: Block) => {
    const bad = block.fields.flatMap(found).filter((it) => it.severity === "error").length + block.fields.filter((it) => draft.refused.has(it.place)).length;
    const count = block.fields.filter(isSet).length;
    return (
      <details key={block.id} className="panel" open={bad > 0 || undefined}>
        <summary><h3>{block.folder === null ? block.title : <>{block.title} <span className="small muted">{shown(valueAt(dataset, `directory[${block.folder}].path`))}</span></>}</h3><span className="small muted">{count} of {block.fields.length} set</span>{bad > 0 && <span className="badge tone-bad">{plural(bad, "error")}</span>}</summary>
        {block.fields.map((field) => row(field))}
        {block.folder !== null && folders(dataset).length > 1 && (
          <div className="form-row"><Action className="small danger" act={() => draft.setKey("dataset", `directory[${block.folder}]`, null)} title="Out of the dataset; the files stay where they are">Take this folder out</Action></div>
        )}
      </details>
    );
  };
  const hits = words === "" ? [] : all.flatMap((block) => block.fields).filter((it) => fits(it, words));
  const canAdd = draft.texts.dataset !== null && dataset !== null;

  return (
    <FormProvider {...methods}>
      <form className="stack" onSubmit={(event) => event.preventDefault()} autoComplete="off">
        {isBroken && <p className="note tone-warn" role="status">The form follows when the text is valid TOML again. Until then it shows what the text said last.</p>}
        <input className="input" type="search" placeholder="Find a setting…" aria-label="Find a setting" value={words} onChange={(event) => setWords(event.target.value)} />
        <fieldset className="stack" disabled={isBroken}>
          {words !== "" ? (
            <div className="panel">
              {hits.map((field) => row(field, true))}
              {hits.length === 0 && <p className="empty">No setting of this model is called or described so.</p>}
            </div>
          ) : (
            <>
              <section className="panel" aria-label="Required">
                <header><h2>Required</h2></header>
                {required.map((field) => row(field, true))}
              </section>
              {rest.map(section)}
              {canAdd && (
                <div className="row">
                  <button type="button" className="button" onClick={() => setAdding(true)}>Add a folder of data…</button>
                </div>
              )}
            </>
          )}
        </fieldset>
        {adding && draft.texts.dataset !== null && (
          <FolderPicker start="" wants="folder" close={() => setAdding(false)}
            choose={(path) => { setAdding(false); void draft.setKey("dataset", `directory[${folders(dataset).length}].path`, path).catch(tell.fail); }} />
        )}
      </form>
    </FormProvider>
  );
}
