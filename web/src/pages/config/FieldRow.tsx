import { memo, useEffect, useId, useRef, useState } from "react";
import { useController, useFormContext } from "react-hook-form";
import { asApiError } from "../../api/client";
import type { Finding } from "../../api/types";
import { Advice } from "../../components/Advice";
import { FolderPicker } from "../../components/FolderPicker";
import { Icon } from "../../components/Icon";
import { Prose } from "../../components/Prose";
import { byWeight, type File, type Placed } from "../../lib/form";
import { typed } from "../../lib/toml";

const PAUSE_MS = 300;

type Props = {
  field: Placed;
  findings: Finding[];
  setKey: (file: File, key: string, value: string | null) => Promise<void>;
  /** Why what it shows could not be written. */
  refused: string | null;
  refuse: (place: string, why: string | null) => void;
  isBroken: boolean;
  whole?: boolean;
};

/** One key: its name, what it is for, its value, and what is wrong with it. */
export const FieldRow = memo(function FieldRow({ field, findings, setKey, refused, refuse, isBroken, whole }: Props) {
  const { resetField, control } = useFormContext();
  const { field: input } = useController({ name: field.place, control });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const pending = useRef<string | null>(null);
  /** What was typed last; what was typed before may still be on its way. */
  const last = useRef<string | null>(null);
  const id = useId();
  const value = typeof input.value === "string" ? input.value : "";
  // What is not spelt as TOML would be stays as it was typed, until somebody leaves the field.
  const [raw, setRaw] = useState<string | null>(null);
  const shown = raw !== null && typed(field.kind, raw) === value ? raw : value;

  const write = async () => {
    clearTimeout(timer.current);
    const text = pending.current;
    if (text === null) return;
    pending.current = null;
    try {
      await setKey(field.file, field.key, text.trim() === "" ? null : text);
      refuse(field.place, null);
      // From here on it follows the text again, unless somebody has typed on.
      if (last.current === text) resetField(field.place, { defaultValue: text });
    } catch (error) {
      // Of a value that is typed over meanwhile nobody wants to hear; the next one is judged in a moment.
      if (last.current === text) refuse(field.place, asApiError(error).message);
    }
  };
  const change = (words: string, at: "once" | "later") => {
    const text = typed(field.kind, words);
    setRaw(words === text ? null : words);
    input.onChange(text);
    pending.current = last.current = text;
    clearTimeout(timer.current);
    if (at === "once") void write();
    else timer.current = setTimeout(() => void write(), PAUSE_MS);
  };
  useEffect(() => () => void write(), []);
  useEffect(() => {
    // Nothing can be written into a text that is no TOML.
    clearTimeout(timer.current);
    pending.current = null;
  }, [isBroken]);

  const worst = findings.some((it) => it.severity === "error") || refused !== null;
  const described = `${id}-doc${findings.length > 0 || refused ? ` ${id}-found` : ""}`;
  const shared = { id, "aria-describedby": described, "aria-invalid": worst || undefined, className: "input", value: shown, onBlur: () => { setRaw(null); void write(); } };
  return (
    <div className={`form-row ${worst ? "is-bad" : ""}`}>
      <div className="about">
        <label htmlFor={id}>{whole ? field.key : field.name}{field.required && <span className="required" title={field.required === "yes" ? "required" : `required ${field.required}`}>{field.required === "yes" ? " required" : ` ${field.required}`}</span>}
          {field.deprecated && <span className="warn small"> deprecated</span>}</label>
        <p id={`${id}-doc`} className="small muted"><Prose text={field.note ? `${field.doc} (${field.note})` : field.doc} /></p>
      </div>
      <div className="control">
        <Control field={field} shared={shared} change={change} />
        {(findings.length > 0 || refused) && (
          <ul id={`${id}-found`} className="found" aria-live="polite">
            {refused && <li className="bad"><Prose text={refused} /></li>}
            {byWeight(findings).map((it, index) => (
              <li key={index} className={{ error: "bad", warning: "warn", note: "muted" }[it.severity]}>
                <Prose text={it.message} />{it.fix && <div className="muted"><Advice text={it.fix} /></div>}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
});

type ControlProps = {
  field: Placed;
  shared: { id: string; value: string; className: string; onBlur: () => void; "aria-describedby": string; "aria-invalid": true | undefined };
  change: (text: string, at: "once" | "later") => void;
};

function Control({ field, shared, change }: ControlProps) {
  const [picking, setPicking] = useState(false);
  const choices = field.kind === "bool" ? ["true", "false"] : field.choices;
  const standard = field.default ?? (field.default_from === null ? "" : `as ${field.default_from}`);
  // Kinds that are one of a few words; where a key may be something else as well, one can type.
  if (choices.length > 0 && !field.kind.includes("|")) {
    const all = shared.value === "" || choices.includes(shared.value) ? choices : [shared.value, ...choices];
    return (
      <select {...shared} onChange={(event) => change(event.target.value, "once")}>
        <option value="">{standard === "" ? "not set" : `default: ${standard}`}</option>
        {all.map((it) => <option key={it} value={it}>{it}{field.recommended.includes(it) ? " (recommended)" : ""}</option>)}
      </select>
    );
  }
  const hints = [...choices, ...field.recommended];
  const isNumber = field.kind === "int" || field.kind === "float";
  const isList = typed(field.kind, "1") !== "1";
  return (
    <div className="row" style={{ flexWrap: "nowrap" }}>
      <input {...shared} className="input mono" type={field.secret ? "password" : "text"} inputMode={isNumber ? "decimal" : undefined} placeholder={field.secret ? "hidden, if it is set" : standard}
        list={hints.length > 0 ? `${shared.id}-hints` : undefined} autoComplete="off" spellCheck={false} title={isList ? "Separated by commas; the brackets may be left out" : undefined} onChange={(event) => change(event.target.value, "later")} />
      {hints.length > 0 && <datalist id={`${shared.id}-hints`}>{hints.map((it) => <option key={it} value={it} />)}</datalist>}
      {field.path && (
        <button type="button" className="button icon" aria-label={`Choose ${field.name}`} title="Choose…" onClick={() => setPicking(true)}><Icon name="folder" /></button>
      )}
      {picking && <FolderPicker start={shared.value} wants={field.path ?? "folder"} close={() => setPicking(false)} choose={(path) => { setPicking(false); change(path, "once"); }} />}
    </div>
  );
}
