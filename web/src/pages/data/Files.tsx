import { useMemo, useState, type CSSProperties } from "react";
import { thumbnail, whyNoThumbnail } from "../../api/client";
import { Icon } from "../../components/Icon";
import { useCaptions } from "../../components/unsaved";
import { Prose } from "../../components/Prose";
import { useParam } from "../../components/useParam";
import { cropBox, fits, isCaptionless, KINDS, noPicture, type Bucket, type Item, type Kind } from "../../lib/data";
import { baseName, count } from "../../lib/format";
import { FileDialog } from "./FileDialog";

/** Pictures of one page: some screens full, and few enough to be asked for at once. */
const PAGE = 60;

export function Files({ items, buckets }: { items: Item[]; buckets: Bucket[] }) {
  const [kindText, setKind] = useParam("kind");
  const [words, setWords] = useParam("q");
  const [size, setSize] = useParam("bucket");
  const [pageText, setPage] = useParam("page");
  const [open, setOpen] = useState<number | null>(null);
  const kind: Kind = KINDS.find((it) => it === kindText) ?? "all";

  const shown = useMemo(() => items.filter((it) => fits(it, kind, words, size)), [items, kind, words, size]);
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  const page = Math.min(Math.max(1, Number(pageText) || 1), pages);
  const first = (page - 1) * PAGE;
  const visible = shown.slice(first, first + PAGE);
  const sizes = useMemo(() => [...new Set(buckets.map((it) => `${it.width}x${it.height}x${it.frames}`))], [buckets]);
  const change = (set: (value: string) => void) => (value: string) => { set(value); setPage(""); };
  const unsaved = useCaptions();
  const opened = open === null ? undefined : shown[open];

  return (
    <div className="stack">
      <div className="row">
        <div className="row" role="group" aria-label="Which files">
          {KINDS.map((it) => <button key={it} className="button small quiet" aria-pressed={it === kind} onClick={() => change(setKind)(it === "all" ? "" : it)}>{it}</button>)}
        </div>
        <select className="input" style={{ width: "auto" }} aria-label="Bucket" value={size} onChange={(event) => change(setSize)(event.target.value)}>
          <option value="">every bucket</option>
          {sizes.map((it) => <option key={it} value={it}>{it.split("x").slice(0, 2).join(" × ")}{it.endsWith("x1") ? "" : `, ${it.split("x")[2]} frames`}</option>)}
        </select>
        <input className="input search" type="search" placeholder="Name" aria-label="Filter by name" value={words} onChange={(event) => change(setWords)(event.target.value)} />
        <span className="grow" />
        <Pager {...{ page, pages, total: shown.length }} go={(it) => setPage(it === 1 ? "" : String(it))} />
      </div>
      {shown.length === 0 ? <p className="empty">No file is like that.</p> : (
        <ul className="tiles">
          {visible.map((it, index) => <li key={it.path}><Tile item={it} isUnsaved={unsaved.has(it.path)} open={() => setOpen(first + index)} /></li>)}
        </ul>
      )}
      {pages > 1 && <div className="row"><span className="grow" /><Pager {...{ page, pages, total: shown.length }} go={(it) => setPage(String(it))} /></div>}
      {opened && (
        <FileDialog key={opened.path} item={opened} close={() => setOpen(null)} place={`${count((open ?? 0) + 1)} of ${count(shown.length)}`}
          before={open ? () => setOpen(open - 1) : null} after={open !== null && open + 1 < shown.length ? () => setOpen(open + 1) : null} />
      )}
    </div>
  );
}

function Pager({ page, pages, total, go }: { page: number; pages: number; total: number; go: (page: number) => void }) {
  return (
    <nav className="row" aria-label="Pages of files">
      <span className="small muted">{count(total)} files, page {page} of {pages}</span>
      <button className="button small icon" aria-label="Previous page" disabled={page <= 1} onClick={() => go(page - 1)}><Icon name="left" /></button>
      <button className="button small icon" aria-label="Next page" disabled={page >= pages} onClick={() => go(page + 1)}><Icon name="right" /></button>
    </nav>
  );
}

function Tile({ item, isUnsaved, open }: { item: Item; isUnsaved: boolean; open: () => void }) {
  const state = isUnsaved ? "caption not saved" : isCaptionless(item) ? "no caption" : (item.flaw ?? item.dropped ?? item.captionFlaw);
  return (
    <button className="tile" onClick={open}>
      <Picture item={item} />
      <span className="clip small">{baseName(item.path)}</span>
      {state
        ? <span className="small warn clip" title={state.replaceAll("`", "")}><Prose text={state} /></span>
        : <span className="small muted clip">{item.buckets.map((it) => `${it.size[0]}×${it.size[1]}${it.size[2] > 1 ? `×${it.size[2]}` : ""}`).join(", ")}</span>}
    </button>
  );
}

/** As large as fits into a square, also where the thumbnail is small. */
function frame({ width, height }: Item): CSSProperties | undefined {
  if (!width || !height) return undefined;
  return { aspectRatio: `${width} / ${height}`, [width >= height ? "width" : "height"]: "100%" };
}

/** A thumbnail with what is cut out of it. */
export function Picture({ item }: { item: Item }) {
  const [failed, setFailed] = useState<string | null>(null);
  const boxes = item.buckets.map((it) => cropBox(item, it)).filter((it) => it !== null);
  if (failed !== null) return <span className="picture none"><Icon name={item.isVideo ? "data" : "file"} /><span className="small muted"><Prose text={noPicture(item, failed)} /></span></span>;
  return (
    <span className="picture">
      <span className="frame" style={frame(item)}>
        <img src={thumbnail(item.path)} alt="" loading="lazy" decoding="async" onError={() => void whyNoThumbnail(item.path).then(setFailed)} />
        {boxes.map((box, index) => (
          <i key={index} className="crop" style={{ left: `${box.left}%`, top: `${box.top}%`, width: `${box.width}%`, height: `${box.height}%` }} />
        ))}
      </span>
    </span>
  );
}
