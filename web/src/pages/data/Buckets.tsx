import { useMemo } from "react";
import { Meter } from "../../components/Meter";
import { Scroll } from "../../components/Scroll";
import type { Report } from "../../lib/data";
import { baseName, count } from "../../lib/format";

/** Where the files go: buckets by size, or folders with what is left out of each and why. */
export function Buckets({ report, folders }: { report: Report; folders: boolean }) {
  return folders ? <Folders report={report} /> : <Sizes report={report} />;
}

function Sizes({ report: { buckets } }: { report: Report }) {
  const most = Math.max(1, ...buckets.map((it) => it.samples));
  if (buckets.length === 0) return <p className="empty">No file gets into a bucket.</p>;
  return (
    <Scroll className="panel" label="Buckets">
      <table>
        <thead><tr><th>Bucket</th><th className="num">Ratio</th><th className="num">Frames</th><th className="num">Files</th><th style={{ width: "30%" }}>Samples</th><th className="num">Lost to batches</th><th className="num">Cut off</th></tr></thead>
        <tbody>
          {buckets.map((it, index) => (
            <tr key={index}>
              <td className="nowrap"><span className="shape" style={{ aspectRatio: `${it.width} / ${it.height}` }} aria-hidden="true" />{it.width} × {it.height}<span className="small muted"> {baseName(it.dataset)}</span></td>
              <td className="num">{it.ratio?.toFixed(2) ?? "–"}</td><td className="num">{it.frames}</td><td className="num">{count(it.files)}</td>
              <td><div className="row" style={{ flexWrap: "nowrap" }}><span style={{ minWidth: 40 }}>{count(it.samples)}</span><div className="grow"><Meter value={(100 * it.samples) / most} label={`${it.samples} samples`} tone="info" /></div></div></td>
              <td className={`num ${it.lost > 0 ? "warn" : "muted"}`} title={it.batch > 1 ? `a batch has ${it.batch}` : undefined}>{count(it.lost)}</td>
              <td className="num">{it.cut > 0 ? `${Math.round(100 * it.cut)} %` : "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Folders({ report: { folders, items } }: { report: Report }) {
  const reasons = useMemo(() => {
    const by = new Map<string, number>();
    for (const it of items) if (it.dropped !== null) by.set(it.dropped, (by.get(it.dropped) ?? 0) + 1);
    return [...by].sort((a, b) => b[1] - a[1]);
  }, [items]);
  return (
    <div className="columns">
      <Scroll className="panel" label="Folders">
        <table>
          <thead><tr><th>Folder</th><th className="num">Files</th><th className="num">Dropped</th></tr></thead>
          <tbody>
            {folders.map((it) => (
              <tr key={`${it.dataset} ${it.path}`}><td className="mono small wrap">{it.path}</td><td className="num">{count(it.files)}</td><td className={`num ${it.dropped > 0 ? "warn" : ""}`}>{count(it.dropped)}</td></tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <Scroll className="panel" label="Why files are dropped">
        <table>
          <thead><tr><th>Why files are dropped</th><th className="num">Files</th></tr></thead>
          <tbody>
            {reasons.map(([reason, number]) => <tr key={reason}><td>{reason}</td><td className="num">{count(number)}</td></tr>)}
            {reasons.length === 0 && <tr><td colSpan={2} className="muted">None is.</td></tr>}
          </tbody>
        </table>
      </Scroll>
    </div>
  );
}
