import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api } from "../../api/client";
import { jobLog, jobs } from "../../api/queries";
import { Action } from "../../components/Action";
import { Advice } from "../../components/Advice";
import { ErrorNote } from "../../components/ErrorNote";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { plural } from "../../lib/format";
import { checks, type Check } from "../../lib/jobs";
import { useFresh } from "./useFresh";

const TONES: Record<Check["verdict"], string> = { problem: "tone-bad", warning: "tone-warn", note: "tone-info", ok: "tone-ok" };
const REQUEST = { kind: "doctor" } as const;

export function Doctor() {
  const job = useFresh("doctor", REQUEST, ["setup", "demo"]);
  const log = useQuery(jobLog(job?.id)).data;
  const repairing = useQuery(jobs).data?.some((it) => it.kind === "doctor" && it.state === "running") ?? false;
  const [all, setAll] = useState(false);
  const found = useMemo(() => checks(log?.events ?? []), [log]);
  const bad = found.filter((it) => it.verdict !== "ok");
  const shown = all ? found : bad;
  const fixable = bad.some((it) => it.fix);
  const done = job !== null && job.state !== "running" && log !== undefined;
  return (
    <Panel title={done ? title(found) : "Doctor"} flush actions={
      <>
        {fixable && <Action className="small" act={() => api.startJob({ kind: "doctor", fix: true })} not={repairing ? "it is at work" : null} title="Does what is safe to do">Fix what is safe</Action>}
        <Action className="small" act={() => api.startJob(REQUEST)} not={repairing ? "it is at work" : null}>Look again</Action>
      </>
    }>
      {job?.error && job.state === "failed" && found.length === 0 && <div style={{ padding: 14 }}><ErrorNote error={job.error} /></div>}
      {!done && found.length === 0 && <p className="empty" role="status">Looking…</p>}
      {done && bad.length === 0 && !all && <p className="empty">Nothing is wrong with this machine and workspace.</p>}
      <ul className="list">
        {shown.map((it) => (
          <li key={`${it.group} ${it.id} ${it.subject}`} className="finding">
            <span className={`badge plain ${TONES[it.verdict]}`}>{it.verdict}</span>
            <div className="grow">
              <p className="wrap lines"><Prose text={it.found} /></p>
              {it.advice && <p className="small muted wrap"><Advice text={fixable ? it.advice : withoutFix(it.advice)} /></p>}
              <p className="small faint mono">{it.group}/{it.id}{it.subject && ` ${it.subject}`}</p>
            </div>
          </li>
        ))}
        {found.length > bad.length && (
          <li><button className="link small" aria-expanded={all} onClick={() => setAll(!all)}>{all ? "Only what is not fine" : `Show ${plural(found.length - bad.length, "check")} that found everything fine`}</button></li>
        )}
      </ul>
    </Panel>
  );
}

/** Without the sentence that leads to a button that is not there. */
const withoutFix = (advice: string) => advice.replace(/; `dpgui doctor --fix` does it too$/, "");

function title(found: Check[]): string {
  const of = (verdict: Check["verdict"]) => found.filter((it) => it.verdict === verdict).length;
  const [problems, warnings] = [of("problem"), of("warning")];
  if (problems + warnings === 0) return "Doctor: all is well";
  return `Doctor: ${[problems > 0 && plural(problems, "problem"), warnings > 0 && plural(warnings, "warning")].filter(Boolean).join(", ")}`;
}
