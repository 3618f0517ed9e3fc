import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef } from "react";
import { Link } from "wouter";
import { api } from "../api/client";
import { configs, jobLog, jobs } from "../api/queries";
import { Action } from "../components/Action";
import { Advice } from "../components/Advice";
import { ErrorNote } from "../components/ErrorNote";
import { Page } from "../components/Page";
import { Prose } from "../components/Prose";
import { Tabs } from "../components/Tabs";
import { useTell } from "../components/Toasts";
import { useParam } from "../components/useParam";
import { lastChange, report, type Report } from "../lib/data";
import { baseName, count, moment, plural } from "../lib/format";
import { links } from "../lib/links";
import { Buckets } from "./data/Buckets";
import { Files } from "./data/Files";

export function Data() {
  const [config, setConfig] = useParam("config");
  const all = useQuery(configs);
  const list = all.data?.filter((it) => it.kind === "training") ?? [];
  return (
    <Page
      title="Data"
      lead="What the trainer will do with every file, without running it: which bucket, what is cut off, what is left out and why."
      actions={
        <select className="input" style={{ width: "auto", minWidth: 180 }} aria-label="Configuration" value={config} onChange={(event) => setConfig(event.target.value)}>
          <option value="">Choose a configuration…</option>
          {list.map((it) => <option key={it.name}>{it.name}</option>)}
        </select>
      }
    >
      {all.error && <ErrorNote error={all.error} />}
      {config !== "" && <Checked key={config} config={config} />}
      {config === "" && (
        <div className="panel empty">
          {list.length > 0 ? <p>Choose the configuration whose data you want to see.</p> : <p>There is no configuration yet. It names the folders that hold your data.</p>}
          <div className="row">
            {list.slice(0, 6).map((it) => <button key={it.name} className="button" onClick={() => setConfig(it.name)}>{it.name}</button>)}
            {all.data && list.length === 0 && <Link className="button primary" href={links.fresh()}>New training</Link>}
          </div>
        </div>
      )}
    </Page>
  );
}

function Checked({ config }: { config: string }) {
  const all = useQuery(jobs).data;
  const job = all?.find((it) => it.kind === "data-check" && baseName(it.subject ?? "") === config);
  const log = useQuery(jobLog(job?.id));
  const tell = useTell();
  const check = () => api.startJob({ kind: "data-check", config });
  const files = useQuery(configs).data;
  const asked = useRef<string | null>(null);
  const change = files ? lastChange(files, config) : null;
  const isOld = job !== undefined && job.state !== "running" && change !== null && Date.parse(change) > Date.parse(job.started);
  // Who chooses a configuration here wants to see its data, and as its files name them now. Once for each change.
  const reason = all === undefined ? null : job === undefined ? "none" : isOld ? change : null;
  useEffect(() => {
    if (reason === null || asked.current === reason) return;
    asked.current = reason;
    void api.startJob({ kind: "data-check", config }).catch(tell.fail);
  }, [reason, config, tell]);
  const running = job === undefined || job.state === "running";
  // Once, at its end: a hundred thousand files are not sorted anew with every few hundred that come.
  const found = useMemo(() => (log.data && !running ? report(log.data.events) : null), [log.data, running]);

  return (
    <div className="stack">
      <div className="row">
        {running
          ? <span className="badge tone-live live" role="status">looking at the files{job && job.events > 0 && `, ${count(job.events)} so far`}</span>
          : <span className="small muted">checked {moment(job.started)} with <code>{job.command}</code></span>}
        <span className="grow" />
        <Link className="button small" href={links.config(config)}>Configuration</Link>
        {running && job ? <Action className="small" act={() => api.cancelJob(job.id)}>Cancel</Action> : <Action className="small" act={check}>Check again</Action>}
      </div>
      {log.error && <ErrorNote error={log.error} retry={() => void log.refetch()} />}
      {/* That there are errors is all that it says where they are shown below. */}
      {job?.error && !found?.findings.some((it) => it.severity === "error") && <ErrorNote error={job.error} />}
      {found && (found.totals.length > 0 || found.items.length > 0 || found.findings.length > 0) && <Found it={found} />}
    </div>
  );
}

function Found({ it }: { it: Report }) {
  const dropped = it.items.filter((one) => one.dropped !== null).length;
  return (
    <>
      {it.totals.map((total) => (
        <dl className="stats" key={`${total.dataset} ${total.evaluation}`} aria-label={baseName(total.dataset)}>
          <div><dt>{total.evaluation ? "Evaluated on" : "Dataset"}</dt><dd title={total.dataset}>{baseName(total.dataset)}</dd></div>
          <div><dt>Files</dt><dd>{count(total.files)}</dd></div>
          <div><dt>Trained with</dt><dd className={total.files_trained < total.files ? "warn" : ""}>{count(total.files_trained)}</dd></div>
          <div><dt>Samples</dt><dd>{count(total.samples_trained)}<small> / {count(total.samples)}</small></dd></div>
          <div><dt>Steps per epoch</dt><dd>{count(total.steps)}</dd></div>
        </dl>
      ))}
      {it.findings.length > 0 && (
        <ul className="panel list" aria-label="Findings">
          {it.findings.map((finding, index) => (
            <li key={index} className="finding">
              <span className={`badge plain tone-${finding.severity === "error" ? "bad" : finding.severity === "warning" ? "warn" : "info"}`}>{finding.severity}</span>
              <div className="grow">
                <p className="wrap"><Prose text={finding.message} /></p>
                {finding.fix && <p className="small muted wrap"><Advice text={finding.fix} /></p>}
              </div>
            </li>
          ))}
        </ul>
      )}
      <div>
        <Tabs label="Data" name="view" tabs={[{ id: "files", title: `Files ${it.items.length}` }, { id: "buckets", title: `Buckets ${it.buckets.length}` }, { id: "folders", title: `Folders ${it.folders.length}${dropped > 0 ? `, ${plural(dropped, "file")} dropped` : ""}` }]}>
          {(view) => view === "files" ? <Files items={it.items} buckets={it.buckets} /> : <Buckets report={it} folders={view === "folders"} />}
        </Tabs>
      </div>
    </>
  );
}
