import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link, useLocation } from "wouter";
import { runs } from "../api/queries";
import type { RunRow } from "../api/types";
import { ErrorNote } from "../components/ErrorNote";
import { Icon } from "../components/Icon";
import { Meter } from "../components/Meter";
import { Page } from "../components/Page";
import { StateBadge } from "../components/StateBadge";
import { useParam } from "../components/useParam";
import { Wrong } from "../components/Wrong";
import { duration, figure, moment, NONE, plural } from "../lib/format";
import { links } from "../lib/links";
import { isColumn, living, matches, progress, SHOWN, sorted, took, tone, type Column, type Shown } from "../lib/runs";

export function Runs() {
  const { data, error, refetch } = useQuery(runs);
  const [words, setWords] = useParam("q");
  const [filter, setFilter] = useParam("show");
  const [order, setOrder] = useParam("sort");
  const [picked, setPicked] = useParam("pick");
  const [, navigate] = useLocation();

  const shown: Shown = SHOWN.find((it) => it === filter) ?? "all";
  const up = order.startsWith("-") ? "" : order;
  const column = isColumn(order.replace("-", "")) ? (order.replace("-", "") as Column) : "started";
  const down = order === "" || up === "";
  const rows = useMemo(
    () => sorted((data ?? []).filter((it) => matches(it, shown, words)), column, down),
    [data, shown, words, column, down],
  );
  const picks = picked === "" ? [] : picked.split(",");
  const pick = (id: string, on: boolean) => setPicked((on ? [...picks, id] : picks.filter((it) => it !== id)).join(","));
  const sort = (by: Column) => setOrder(by === column && down ? by : `-${by}`);

  return (
    <Page
      title="Runs"
      lead={data && `${plural(data.length, "run")} in this workspace, ${living(data)}`}
      actions={
        <button className="button" disabled={picks.length < 2} title={picks.length < 2 ? "Tick two runs or more" : undefined}
          onClick={() => navigate(links.compare(picks))}>
          Compare {picks.length > 0 && `(${picks.length})`}
        </button>
      }
    >
      <div className="stack">
        <div className="row">
          <input className="input search" type="search" placeholder="Filter by name, configuration, state…" aria-label="Filter runs" value={words}
            onChange={(event) => setWords(event.target.value)} />
          <div className="row" role="group" aria-label="Which runs">
            {SHOWN.map((it) => (
              <button key={it} className="button small quiet" aria-pressed={it === shown} onClick={() => setFilter(it === "all" ? "" : it)}>
                {it}
              </button>
            ))}
          </div>
        </div>
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        <div className="panel scroll-x">
          <table className="runs">
            <thead>
              <tr>
                <th><span className="hidden">Compare</span></th>
                <Head by="name" {...{ column, down, sort }}>Run</Head>
                <Head by="state" {...{ column, down, sort }}>State</Head>
                <Head by="progress" {...{ column, down, sort }}>Progress</Head>
                <Head by="loss" num {...{ column, down, sort }}>Loss</Head>
                <Head by="left" num {...{ column, down, sort }}>Time</Head>
                <th>On</th>
                <Head by="started" {...{ column, down, sort }}>Started</Head>
              </tr>
            </thead>
            <tbody>
              {rows.map((run) => <Row key={run.id} run={run} picked={picks.includes(run.id)} pick={pick} />)}
            </tbody>
          </table>
          {data && rows.length === 0 && (
            <div className="empty">
              {data.length === 0 ? "Nothing was trained here yet." : "No run fits this filter."}
              {data.length === 0 && <Link className="button" href={links.fresh()}><Icon name="plus" /> New training</Link>}
            </div>
          )}
        </div>
      </div>
    </Page>
  );
}

type HeadProps = { by: Column; column: Column; down: boolean; sort: (by: Column) => void; num?: boolean; children: string };

function Head({ by, column, down, sort, num, children }: HeadProps) {
  const here = by === column;
  return (
    <th className={num ? "num" : ""} aria-sort={here ? (down ? "descending" : "ascending") : undefined}>
      <button onClick={() => sort(by)}>{children} <span aria-hidden="true">{here ? (down ? "↓" : "↑") : ""}</span></button>
    </th>
  );
}

/** What is left of one that trains, or what one took that has ended. */
function time(run: RunRow) {
  if (run.queued) return <span className="faint">{NONE}</span>;
  if (run.live) return run.left_seconds === null ? <span className="faint">{NONE}</span> : `${duration(run.left_seconds)} left`;
  const seconds = took(run);
  return <span className="faint">{seconds === null ? NONE : `took ${duration(seconds)}`}</span>;
}

function Row({ run, picked, pick }: { run: RunRow; picked: boolean; pick: (id: string, on: boolean) => void }) {
  const part = progress(run);
  return (
    <tr className="hover">
      <td>
        <input type="checkbox" aria-label={`Compare ${run.id}`} checked={picked} onChange={(event) => pick(run.id, event.target.checked)} />
      </td>
      <td className="run-name">
        <Link className="plain" href={links.run(run.id)}>{run.name}</Link>
        <div className="small muted mono">{run.id}</div>
      </td>
      <td className="state">
        <StateBadge run={run} />
        {run.wrong && <div className="wrong"><Wrong text={run.wrong} /></div>}
        {!run.live && run.diagnosis && <div className={`small ${tone(run) === "bad" ? "bad" : "muted"} diagnosis`}>{run.diagnosis}</div>}
      </td>
      <td className={`progress-cell ${run.step === null ? "none" : ""}`}>
        {run.step === null ? <span className="faint">–</span> : (
          <>
            <div className="small nowrap">{run.step}{run.total_steps !== null && ` / ${run.total_steps}`}
              {run.epoch !== null && <span className="muted"> · epoch {run.epoch}{run.epochs !== null && `/${run.epochs}`}</span>}</div>
            {part !== null && <Meter value={part} label={`Progress of ${run.id}`} tone={tone(run)} />}
          </>
        )}
      </td>
      <td className={`num ${run.loss === null ? "none" : ""}`}>{figure(run.loss)}</td>
      <td className={`num time ${run.queued || (!run.live && took(run) === null) ? "none" : ""}`}>{time(run)}</td>
      <td className="small">{run.devices}</td>
      <td className="nowrap small">{run.queued ? <span className="faint">waits</span> : moment(run.started)}</td>
    </tr>
  );
}
