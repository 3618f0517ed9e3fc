import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { folder, machine } from "../api/queries";
import { bytes, plural } from "../lib/format";
import { Dialog } from "./Dialog";
import { ErrorNote } from "./ErrorNote";
import { Icon } from "./Icon";

type Props = { start: string; wants: string; choose: (path: string) => void; close: () => void };

/** Above everything the entries are whole paths. */
const join = (folder: string | null, name: string) => (folder === null ? name : folder.endsWith("/") ? folder + name : `${folder}/${name}`);

/** As the trainer takes it, for which what is not absolute starts at the workspace; `null` if nothing was chosen yet. */
const absolute = (start: string, workspace: string | undefined) =>
  start === "" || start.startsWith("/") || workspace === undefined ? (start.startsWith("/") ? start : null) : `${workspace}/${start}`;

/** Chooses a folder or a file of the machine that trains, inside what it lets the page see. */
export function FolderPicker({ start, wants, choose, close }: Props) {
  const takesFile = wants.includes("file");
  const takesFolder = wants !== "file";
  const { data: about, isPending } = useQuery(machine);
  const [moved, setPath] = useState<string | null | undefined>(undefined);
  const wanted = moved === undefined ? absolute(start, about?.workspace) : moved;
  // What was there stays until the next is: the focus would be lost with it.
  const asked = useQuery({ ...folder(wanted), enabled: !isPending, placeholderData: keepPreviousData });
  const it = asked.data;
  const list = useRef<HTMLUListElement>(null);
  const up = useRef<HTMLButtonElement>(null);
  const shown = asked.isPlaceholderData ? null : it;
  useEffect(() => {
    // Whoever has chosen a folder goes on inside it; whoever goes up and up stays there as long as there is an up.
    if (moved === undefined || !shown || (document.activeElement === up.current && shown.path !== null)) return;
    (list.current?.querySelector<HTMLElement>("button:enabled") ?? up.current)?.focus();
  }, [moved, shown?.path]);
  const path = it ? it.path : wanted;
  const entries = it?.entries.toSorted((a, b) => Number(b.folder) - Number(a.folder) || a.name.localeCompare(b.name)) ?? [];
  const footer = (
    <>
      <span className="small muted grow">{takesFolder && takesFile ? "A folder or a file" : takesFile ? "Choose a file" : "Choose a folder"}</span>
      <button className="button" onClick={close}>Cancel</button>
      {takesFolder && <button className="button primary" disabled={!it?.path} onClick={() => it?.path && choose(it.path)}>Choose this folder</button>}
    </>
  );
  return (
    <Dialog title={takesFolder ? "Choose a folder" : "Choose a file"} close={close} footer={footer}>
      <div className="row" style={{ flexWrap: "nowrap" }}>
        <button ref={up} className="button small icon" aria-label="One folder up" disabled={path === null} onClick={() => setPath(it?.parent ?? null)}><Icon name="up" /></button>
        <code className="grow wrap">{path ?? "On this machine"}</code>
      </div>
      {asked.error && <ErrorNote error={asked.error} />}
      <ul ref={list} className="picker">
        {it && entries.map((entry) => (
          <li key={entry.name}>
            <button disabled={!entry.folder && !takesFile} onClick={() => (entry.folder ? setPath(join(path, entry.name)) : choose(join(path, entry.name)))}>
              <Icon name={entry.folder ? "folder" : "file"} />
              <span className="grow wrap">{entry.name}</span>
              <span className="small muted nowrap">{entry.folder ? entry.media !== null && entry.media > 0 && plural(entry.media, "picture or video", "pictures or videos") : bytes(entry.bytes)}</span>
            </button>
          </li>
        ))}
        {it?.cut && <li className="empty small">There is more than can be shown. Type the path, or choose a folder below.</li>}
        {it && entries.length === 0 && <li className="empty">It is empty.</li>}
      </ul>
    </Dialog>
  );
}
