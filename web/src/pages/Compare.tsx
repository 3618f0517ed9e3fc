import { useQueries, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { Link } from "wouter";
import { comparison, metrics, runs } from "../api/queries";
import { ErrorNote } from "../components/ErrorNote";
import { Icon } from "../components/Icon";
import { Page } from "../components/Page";
import { Panel } from "../components/Panel";
import { Scroll } from "../components/Scroll";
import { useParam } from "../components/useParam";
import { count, duration, figure, pace } from "../lib/format";
import { links } from "../lib/links";
import { aligned, evaluations, positive, styleOf, type Line } from "../lib/metrics";

const Chart = lazy(async () => ({ default: (await import("../components/Chart")).Chart }));

const FIGURES: [title: string, of: "last_loss" | "average_loss" | "best_average_loss"][] = [
  ["Last loss", "last_loss"], ["Average", "average_loss"], ["Best average", "best_average_loss"],
];

export function Compare() {
  const [text, setText] = useParam("ids");
  const [scale, setScale] = useParam("scale");
  const [axis, setAxis] = useParam("x");
  const ids = useMemo(() => [...new Set(text.split(",").filter(Boolean))], [text]);
  const rows = useQuery(runs).data;
  const { data, error, refetch } = useQuery(comparison(ids));
  const live = (id: string) => rows?.find((it) => it.id === id)?.live ?? false;
  const numbers = useQueries({ queries: ids.map((id) => metrics(id, live(id))) }).map((it) => it.data);

  const all = numbers.map((it) => it?.next ?? 0).join();
  const chart = useMemo(() => {
    const lines: Line[] = [];
    const series = numbers.flatMap((it, index) => {
      const colour = `--series-${1 + (index % 6)}`;
      const id = ids[index] ?? "";
      const start = it?.time[0] ?? 0;
      const x = axis === "time" ? it?.time.map((at) => Math.round(at - start) / 3600) : it?.step;
      lines.push({ x: x ?? [], y: it?.smoothed ?? [] });
      const evals = axis === "time" ? [] : evaluations(it?.scalars ?? []);
      evals.forEach((scalar) => lines.push({ x: scalar.step, y: scalar.value }));
      return [{ name: id, colour }, ...evals.map((scalar, place) => ({ name: `${id} ${scalar.tag}`, colour, points: true, style: styleOf(place) }))]
        .map((one) => ({ ...one, gaps: true }));
    });
    const table = aligned(lines);
    return { series, table: scale === "log" ? positive(table) : table };
  }, [all, ids, axis, scale]);

  return (
    <Page title="Compare" up={{ href: links.runs, text: "Runs" }} lead="Average losses on one chart, and the settings that differ.">
      <div className="stack">
        {ids.length === 0 && <p className="empty">Tick two runs or more in the list of runs.</p>}
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        {ids.length > 0 && (
          <Panel title="Loss, averaged" actions={
            <>
              <button className="button small" aria-pressed={axis === "time"} onClick={() => setAxis(axis === "time" ? "" : "time")}>By hours</button>
              <button className="button small" aria-pressed={scale === "log"} onClick={() => setScale(scale === "log" ? "" : "log")}>Log scale</button>
            </>
          }>
            <Suspense fallback={<p className="empty">Loading…</p>}>
              {numbers.some((it) => it && it.step.length > 0)
                ? <Chart label="Average losses" series={chart.series} data={chart.table} height={320} log={scale === "log"} />
                : <p className="empty">None of them has done a step yet.</p>}
            </Suspense>
          </Panel>
        )}
        {data && (
          <Panel title="Side by side" flush>
            <Scroll label="Runs side by side">
              <table>
                <thead><tr><th>Run</th><th>State</th><th className="num">Steps</th>{FIGURES.map(([title]) => <th key={title} className="num">{title}</th>)}
                  <th className="num">Pace</th><th className="num">Took</th></tr></thead>
                <tbody>
                  {data.runs.map((it, index) => (
                    <tr key={it.id}>
                      {/* Two lines where one would make the table wider than its place. */}
                      <td className="nowrap"><i className="dot" style={{ display: "inline-block", marginRight: 8, background: `var(--series-${1 + (index % 6)})` }} /><Link href={links.run(it.id)}>{it.id}</Link>
                        {/* Beside the name: at the end of the row it would be out of sight where there is not much room. */}
                        <button className="button small icon quiet" style={{ marginLeft: 4 }} title="Remove" onClick={() => setText(ids.filter((id) => id !== it.id).join(","))}><Icon name="close" /><span className="hidden">Remove {it.id}</span></button></td>
                      <td>{it.state}<div className="small muted nowrap">{it.devices}</div></td><td className="num">{count(it.steps)}</td>
                      {FIGURES.map(([title, of]) => (
                        <td key={title} className="num">{figure(it[of])}{of === "best_average_loss" && it.best_step !== null && <div className="small muted nowrap">at step {count(it.best_step)}</div>}</td>
                      ))}
                      <td className="num nowrap">{pace(it.seconds_per_step)}</td><td className="num nowrap">{duration(it.state === "withdrawn" ? null : it.seconds)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Panel>
        )}
        {data && (
          <Panel title="Settings that differ" flush>
            {data.differences.length === 0 ? <p className="empty">None: they were trained with the same settings.</p> : (
              <Scroll label="Settings that differ">
                <table>
                  <thead><tr><th>Key</th>{data.runs.map((it) => <th key={it.id}>{it.id}</th>)}</tr></thead>
                  <tbody>
                    {data.differences.map((it) => (
                      <tr key={it.key}><td><code>{it.key}</code></td>
                        {it.values.map((value, index) => <td key={index}>{value === null ? <span className="faint">not set</span> : <code>{value}</code>}</td>)}</tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
            )}
          </Panel>
        )}
      </div>
    </Page>
  );
}
