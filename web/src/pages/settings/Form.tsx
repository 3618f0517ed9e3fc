import { useId, useState } from "react";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, asApiError } from "../../api/client";
import { settings } from "../../api/queries";
import type { SettingField, Settings } from "../../api/types";
import { Action } from "../../components/Action";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { useLeaving } from "../../components/useLeaving";
import { useSettled } from "../../components/useSettled";
import { useTell } from "../../components/Toasts";
import { plural } from "../../lib/format";
import { changes, groups, valueOf, type Typed } from "../../lib/settings";

/** Since the last key was pressed, before the server is asked. */
const PAUSE_MS = 250;

/** What can be set here. It is written to dpgui.toml when all of it can be so, and not before. */
export function SettingsForm({ shown }: { shown: Settings }) {
  const [typed, setTyped] = useState<Typed>({});
  const [refused, setRefused] = useState<unknown>(null);
  const client = useQueryClient();
  const tell = useTell();
  const changed = changes(shown.fields, typed);
  const asked = useSettled(JSON.stringify(changed), PAUSE_MS);
  const { data: checked } = useQuery({
    queryKey: ["settings-check", asked],
    queryFn: () => api.checkSettings(JSON.parse(asked) as typeof changed),
    enabled: asked !== "[]",
    placeholderData: keepPreviousData,
  });
  const findings = changed.length > 0 ? (checked?.findings ?? []).filter((it) => changed.some((one) => one.key === it.key)) : [];
  useLeaving(changed.length > 0);

  const save = async () => {
    setRefused(null);
    try {
      await api.saveSettings(changed, shown.digest);
      setTyped({});
      tell.say(`Saved in dpgui.toml: ${changed.map((it) => `\`${it.key}\``).join(", ")}.`);
    } catch (error) {
      setRefused(error);
    }
    await client.invalidateQueries({ queryKey: settings.queryKey });
  };
  const not = changed.length === 0 ? "nothing was changed" : findings.length > 0 ? "something cannot be so, see below" : shown.settings_problem ? "dpgui.toml is broken, see above" : null;
  const isConflict = refused !== null && asApiError(refused).status === 409;
  return (
    <>
      <div className="save-bar">
        <div className="row">
          <p className="grow small muted">{changed.length === 0 ? "What is empty is as usual." : `${plural(changed.length, "change")} not saved.`}</p>
          <button className="button" disabled={changed.length === 0} onClick={() => { setTyped({}); setRefused(null); }}>Discard</button>
          <Action act={save} className="primary" not={not}>Save</Action>
        </div>
        {refused !== null && !isConflict && <ErrorNote error={refused} />}
        {isConflict && (
          <p className="note tone-warn" role="alert"><span><code>dpgui.toml</code> was changed by somebody else meanwhile. The fields have what it says now, with what you typed over it: save again if that is what you want.</span></p>
        )}
      </div>
      {groups(shown.fields).map((group) => (
        <Panel key={group.title} title={group.title} flush actions={<span className="small muted"><Prose text={`counts from ${group.from} on`} /></span>}>
          <div className="form-rows">
            {group.fields.map((it) => (
              <Row key={it.key} field={it} value={valueOf(it, typed)} messages={findings.filter((one) => one.key === it.key).map((one) => one.message)}
                change={(text) => setTyped((old) => ({ ...old, [it.key]: text }))} />
            ))}
          </div>
        </Panel>
      ))}
    </>
  );
}

type RowProps = { field: SettingField; value: string; messages: string[]; change: (text: string) => void };

function Row({ field, value, messages, change }: RowProps) {
  const id = useId();
  const shared = {
    id, value, className: "input mono", "aria-invalid": messages.length > 0 || undefined, spellCheck: false, autoComplete: "off",
    "aria-describedby": `${id}-about${messages.length === 0 ? "" : ` ${id}-found`}`,
    onChange: (event: { target: { value: string } }) => change(event.target.value),
  };
  const choices = field.kind === "yes-or-no" ? ["true", "false"] : field.choices;
  return (
    <div className={`form-row ${messages.length === 0 ? "" : "is-bad"}`}>
      <div className="about">
        <label htmlFor={id} className="plain">{field.title}</label>
        <p id={`${id}-about`} className="small muted"><Prose text={field.about} /> <code className="faint">{field.key}</code></p>
      </div>
      <div className="control">
        {choices.length > 0 ? (
          <select {...shared} className="input">
            <option value="">{`default: ${field.usual}`}</option>
            {choices.map((it) => <option key={it} value={it}>{it}</option>)}
          </select>
        ) : field.kind === "lines" ? (
          <textarea {...shared} rows={Math.max(1, value.split("\n").length)} placeholder="https://… one a line; empty: its publisher" />
        ) : (
          <input {...shared} type="text" inputMode={field.kind === "number" ? "numeric" : undefined} placeholder={field.usual || "https://… empty: the usual place"} />
        )}
        {messages.length > 0 && <ul id={`${id}-found`} className="found" aria-live="polite">{messages.map((it) => <li key={it} className="bad"><Prose text={it} /></li>)}</ul>}
      </div>
    </div>
  );
}
