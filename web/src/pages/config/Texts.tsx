import { useEffect, useState } from "react";
import type { Finding } from "../../api/types";
import { Advice } from "../../components/Advice";
import { Prose } from "../../components/Prose";
import { byWeight, type File } from "../../lib/form";
import { TomlEditor } from "./TomlEditor";
import type { Draft } from "./useDraft";

/** Both files as they will be written, with what is wrong in them. */
export function Texts({ draft, findings, dataErrors }: { draft: Draft; findings: Finding[]; dataErrors: number }) {
  const [file, setFile] = useState<File>("training");
  const [at, setAt] = useState<{ line: number; nonce: number; file: File } | null>(null);
  const has = draft.texts.dataset !== null;
  const shown: File = has ? file : "training";
  const of = (it: File) => findings.filter((finding) => finding.file === it);
  const go = (it: Finding) => {
    const { file: there } = it;
    if (there === "other" || (there === "dataset" && !has)) return;
    setFile(there);
    setAt((old) => ({ line: it.line, nonce: (old?.nonce ?? 0) + 1, file: there }));
  };
  // A jump is made once the file that it leads to is shown.
  const [jump, setJump] = useState(at);
  useEffect(() => setJump(at?.file === shown ? at : null), [at, shown]);

  return (
    <div className="panel texts">
      <header role="group" aria-label="Files">
        {(has ? (["training", "dataset"] as const) : (["training"] as const)).map((it) => {
          const bad = of(it).filter((one) => one.severity === "error").length;
          return (
            <button key={it} className="button small quiet" aria-pressed={it === shown} onClick={() => setFile(it)}>
              {it === "training" ? draft.name : "dataset"}{bad > 0 && <span className="bad">{bad}</span>}
            </button>
          );
        })}
        <span className="grow" />
        <span className="small muted" role="status">{draft.isChecking ? "checking…" : findings.length === 0 ? (dataErrors > 0 ? "no findings in the files" : "no findings") : ""}</span>
      </header>
      <TomlEditor key={shown} label={shown === "training" ? draft.name : "The dataset file"} text={draft.texts[shown] ?? ""} findings={of(shown)} at={jump}
        change={(text) => draft.setText(shown, text)} />
      {findings.length > 0 && (
        <ul className="list findings" aria-label="Findings">
          {byWeight(findings).map((it, index) => (
            <li key={index} className="finding">
              <span className={`badge plain tone-${it.severity === "error" ? "bad" : it.severity === "warning" ? "warn" : "info"}`}>{it.severity}</span>
              <div className="grow small">
                <p className="wrap"><Prose text={it.message} /></p>
                {it.outcome && <p className="muted wrap"><Prose text={it.outcome} /></p>}
                {it.fix && <p className="muted wrap"><Advice text={it.fix} /></p>}
                {it.file === "other" || (it.file === "dataset" && !has)
                  ? <span className="muted wrap">{it.path ?? "dataset"} line {it.line}</span>
                  : <button className="link small" onClick={() => go(it)}>{it.file} line {it.line}</button>} <span className="faint mono">{it.id}</span>
              </div>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
