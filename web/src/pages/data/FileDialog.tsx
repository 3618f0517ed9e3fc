import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, type KeyboardEvent } from "react";
import { api, asApiError } from "../../api/client";
import { Action } from "../../components/Action";
import { Dialog } from "../../components/Dialog";
import { ErrorNote } from "../../components/ErrorNote";
import { Icon } from "../../components/Icon";
import { Prose } from "../../components/Prose";
import { useTell } from "../../components/Toasts";
import type { Item } from "../../lib/data";
import { baseName } from "../../lib/format";
import { Picture } from "./Files";
import { captions, useCaptions } from "../../components/unsaved";

type Props = { item: Item; place: string; close: () => void; before: (() => void) | null; after: (() => void) | null };

/** One file: what becomes of it, and its caption to read and change. */
export function FileDialog({ item, place, close, before, after }: Props) {
  const footer = (
    <>
      <span className="small muted grow">{place}</span>
      <button className="button" disabled={!before} onClick={() => before?.()}><Icon name="left" /> Previous</button>
      <button className="button" disabled={!after} onClick={() => after?.()}>Next <Icon name="right" /></button>
    </>
  );
  return (
    <Dialog title={baseName(item.path)} close={close} wide footer={footer}>
      <div className="file">
        <Picture item={item} />
        <div className="stack tight">
          <dl className="facts">
            <dt>Size</dt><dd>{item.width && item.height ? `${item.width} × ${item.height}` : <span className="muted">not looked at</span>}{item.frames > 1 && `, ${item.frames} frames`}</dd>
            {item.buckets.map((it, index) => (
              <div key={index} style={{ display: "contents" }}><dt>{index === 0 ? "Trained as" : ""}</dt><dd>{it.size[0]} × {it.size[1]}{it.size[2] > 1 && `, ${it.size[2]} frames`}</dd></div>
            ))}
            {item.dropped && <><dt>Dropped</dt><dd className="warn"><Prose text={item.dropped} /></dd></>}
            {item.captionFlaw && <><dt>Caption</dt><dd className="warn"><Prose text={item.captionFlaw} /></dd></>}
            {item.flaw && <><dt>Flaw</dt><dd className="warn"><Prose text={item.flaw} /></dd></>}
          </dl>
          <Caption path={item.path} />
        </div>
      </div>
      <p className="small muted mono wrap">{item.path}</p>
    </Dialog>
  );
}

function Caption({ path }: { path: string }) {
  const client = useQueryClient();
  const key = ["caption", path];
  const { data, error } = useQuery({ queryKey: key, queryFn: () => api.caption(path), staleTime: 0 });
  const draft = useCaptions().get(path) ?? null;
  const area = useRef<HTMLTextAreaElement>(null);
  const tell = useTell();
  const text = draft?.text ?? data?.text ?? "";
  const changed = data !== undefined && draft !== null && draft.text !== (data.text ?? "");
  const isOvertaken = changed && draft.over !== data.digest;
  const mayChange = data?.may_change;
  // Whoever opens a file wants to write; until the caption is there nobody can.
  useEffect(() => area.current?.focus(), [mayChange]);
  const save = async () => {
    if (!data || !changed || isOvertaken) return;
    try {
      const { digest } = await api.saveCaption(path, text, draft.over);
      client.setQueryData(key, { ...data, text, digest });
    } catch (failure) {
      if (asApiError(failure).status !== 409) throw failure;
      // What is there now is shown beside what was typed.
      return client.invalidateQueries({ queryKey: key });
    }
    // What was typed since then is not saved.
    const since = captions.now().get(path);
    captions.keep(path, since && since.text !== text ? { text: since.text, over: (client.getQueryData<typeof data>(key) ?? data).digest } : null);
    tell.say(`Saved ${baseName(data.path)}. Check again to see what becomes of the file.`);
  };
  // What is as in the file again is nothing to keep.
  const type = (it: string) => captions.keep(path, it === (data?.text ?? "") ? null : { text: it, over: draft ? draft.over : (data?.digest ?? null) });
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      tell.begin();
      void save().catch(tell.fail);
    }
  };
  return (
    <div className="stack tight">
      {error && <ErrorNote error={error} />}
      <label className="field">
        <span className="label">Caption {data?.text === null && <span className="warn small">there is none yet</span>}</span>
        <textarea ref={area} className="input" aria-describedby="caption-keys" rows={6} value={text} disabled={!data?.may_change} spellCheck
          onChange={(event) => type(event.target.value)} onKeyDown={onKey} />
      </label>
      {data?.may_change === false && <p className="small muted">It comes from <code>{baseName(data.path)}</code> of its folder, and is changed there.</p>}
      {isOvertaken && (
        <div className="note tone-warn" role="alert">
          <p>{data.text === null ? <>Somebody else has removed <code>{baseName(data.path)}</code> meanwhile.</> : <>Somebody else has changed <code>{baseName(data.path)}</code> meanwhile:</>}</p>
          {data.text !== null && <pre className="wrap">{data.text}</pre>}
          <div className="row">
            <button className="button small" onClick={() => captions.keep(path, { text, over: data.digest })}>Keep yours</button>
            <button className="button small danger" onClick={() => captions.keep(path, null)}>Take theirs</button>
          </div>
        </div>
      )}
      <div className="row">
        <Action className="small primary" act={save} not={!changed ? "nothing was changed" : isOvertaken ? "it was changed by somebody else meanwhile" : null}>Save caption</Action>
        {changed && !isOvertaken && <button className="button small" onClick={() => captions.keep(path, null)}>Undo</button>}
        {data && <span className="small muted mono clip grow">{baseName(data.path)}</span>}
      </div>
      {mayChange !== false && (
        <p id="caption-keys" className="small muted">
          <kbd>Ctrl</kbd>+<kbd>Enter</kbd> saves. {changed ? <strong className="warn">Not saved yet; it is kept here when you go on or close this.</strong> : "What you type is kept here until you save it."}
        </p>
      )}
    </div>
  );
}
