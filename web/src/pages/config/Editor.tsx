import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import { api, asApiError } from "../../api/client";
import { form as formOf, machine, models } from "../../api/queries";
import type { Checked, Finding } from "../../api/types";
import { Action } from "../../components/Action";
import { ErrorNote } from "../../components/ErrorNote";
import { Page } from "../../components/Page";
import { useTell } from "../../components/Toasts";
import { useParam } from "../../components/useParam";
import { plural } from "../../lib/format";
import { shown } from "../../lib/toml";
import { valueAt } from "../../lib/form";
import { links } from "../../lib/links";
import { Conflict } from "./Conflict";
import { DataErrors } from "./DataErrors";
import { DerivedNumbers } from "./DerivedNumbers";
import { DraftForm } from "./DraftForm";
import { StartDialog } from "./StartDialog";
import { Texts } from "./Texts";
import { useDraft, type Origin } from "./useDraft";
import { useSteps } from "./useSteps";

const NONE: Finding[] = [];

/** That the fields at these places show what is in no text, in words. */
function withoutValue(places: string[]): string | null {
  const [first] = places;
  if (first === undefined) return null;
  return places.length === 1 ? `${first.slice(first.indexOf(".") + 1)} has no valid value` : `${places.length} fields have no valid value`;
}

/** A pair of files: the form and the text of the same thing, side by side. */
export function Editor({ origin }: { origin: Origin }) {
  const here = useQuery(machine).data?.gpus.length;
  const [wanted, setGpus] = useParam("gpus");
  // Without a GPU here nobody knows how many there will be, until it is said: it may be another machine that trains.
  const gpus = Number(wanted) > 0 ? Number(wanted) : here || undefined;
  const draft = useDraft(origin, gpus);
  const steps = useSteps(draft, gpus);
  const [view, setView] = useParam("view");
  const [starting, setStarting] = useState(false);
  const [conflict, setConflict] = useState<unknown>(null);
  const [, navigate] = useLocation();
  const tell = useTell();
  const { checked } = draft;
  const findings = checked?.findings ?? NONE;
  // A text that is no TOML has no values: the form shows the last ones, and waits.
  const isValid = checked !== undefined && checked.values !== null && (draft.settled.dataset === null || checked.dataset_values !== null);
  const [last, setLast] = useState<Checked | null>(null);
  useEffect(() => {
    if (isValid) setLast(checked);
  }, [isValid, checked]);
  const said = isValid ? checked : last;
  const model = shown(valueAt(said?.values, "model.type"));
  const form = useQuery({ ...formOf(model), enabled: model !== "", placeholderData: keepPreviousData });
  const needsFiles = (useQuery(models).data?.find((it) => it.name === model)?.needs.length ?? 1) > 0;
  const errors = findings.filter((it) => it.severity === "error").length;
  const refused = withoutValue([...draft.refused.keys()]);
  const state = draft.isNew ? "not saved yet" : draft.isChanged ? "changed, not saved" : refused !== null ? "" : "saved";
  const dataErrors = steps.isOfNow ? steps.errors.length : 0;
  const fixable = findings.filter((it) => it.fixable).length;

  const save = async () => {
    try {
      await draft.save();
      setConflict(null);
    } catch (error) {
      // Somebody else has changed the file: nothing is overwritten, here nor there.
      if (asApiError(error).status === 409) setConflict(error);
      throw error;
    }
  };
  const saveAndSay = async () => {
    try {
      await save();
    } catch (error) {
      // That one is told of above, with what can be done.
      if (asApiError(error).status === 409) return;
      throw error;
    }
    tell.say(`Saved \`configs/${draft.name}\`.`);
    if (draft.isNew) navigate(links.config(draft.name), { replace: true });
  };
  const countSteps = async () => {
    if (draft.isChanged) await save();
    await api.startJob({ kind: "data-check", config: draft.name, ...(gpus === undefined ? {} : { gpus }) });
    if (draft.isNew) navigate(links.config(draft.name), { replace: true });
  };
  const settle = () => {
    setConflict(null);
    if (draft.isNew) navigate(links.config(draft.name), { replace: true });
  };
  const renamed = (name: string) => {
    tell.say(`Saved \`configs/${name}\`.`);
    navigate(links.config(name), { replace: true });
  };
  const mend = async () => {
    const changes = await draft.mend();
    tell.say(changes.length === 0 ? "Nothing was changed." : changes.join("; "));
  };

  return (
    <Page
      title={draft.isNew ? `New: ${draft.name}` : draft.name}
      up={{ href: links.configs, text: "Configurations" }}
      lead={<span role="status">{[model, state, refused ?? "", errors > 0 ? plural(errors, "error") : "", findings.length > errors ? plural(findings.length - errors, "further finding") : "", dataErrors > 0 ? `${plural(dataErrors, "error")} in its data` : ""].filter(Boolean).join(" · ")}</span>}
      actions={
        <>
          {fixable > 0 && <Action act={mend} title="Change what can be mended without a decision of yours">Fix {fixable}</Action>}
          {!draft.isNew && <Link className="button" href={links.data(draft.name)}>Data</Link>}
          <Action act={saveAndSay} not={draft.isChanged ? null : (refused ?? "nothing was changed")}>Save</Action>
          <Action act={() => setStarting(true)} not={errors > 0 ? `it cannot be trained with: ${plural(errors, "error")}` : refused ?? (checked ? null : "it is being checked")} className="primary">Start…</Action>
        </>
      }
    >
      <div className="stack">
        {conflict !== null && <Conflict error={conflict} draft={draft} over={settle} renamed={renamed} />}
        {draft.checkError !== null && <ErrorNote error={draft.checkError} />}
        <DerivedNumbers steps={steps} gpus={gpus} setGpus={setGpus} countSteps={countSteps} saves={draft.isChanged} hasEpochs={valueAt(said?.values, "epochs") !== undefined} needsFiles={needsFiles} />
        <DataErrors config={draft.name} steps={steps} />
        <div className="row view-switch" role="group" aria-label="What to see">
          <button className="button small" aria-pressed={view !== "toml"} onClick={() => setView("")}>Form</button>
          <button className="button small" aria-pressed={view === "toml"} onClick={() => setView("toml")}>TOML</button>
        </div>
        <div className={`draft ${view === "toml" ? "shows-toml" : ""}`}>
          <div className="draft-form">
            {form.error && <ErrorNote error={form.error} retry={() => void form.refetch()} />}
            {form.data && said && model !== "" && <DraftForm form={form.data} draft={draft} training={said.values} dataset={said.dataset_values} findings={findings} isBroken={!isValid} />}
            {checked && model === "" && <div className="panel empty"><p>The form appears when the text is TOML that names a model: a table <code>[model]</code> with a <code>type</code>.</p></div>}
          </div>
          <div className="draft-text"><Texts draft={draft} findings={findings} dataErrors={dataErrors} /></div>
        </div>
        {starting && <StartDialog config={draft.name} save={draft.isChanged ? save : null} known={draft.known} not={refused} close={() => setStarting(false)} />}
      </div>
    </Page>
  );
}
