import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { api } from "../api/client";
import { machine, queue, runs, settings } from "../api/queries";
import type { SettingField } from "../api/types";
import { Action } from "../components/Action";
import { Dialog } from "../components/Dialog";
import { ErrorNote } from "../components/ErrorNote";
import { Icon } from "../components/Icon";
import { Page } from "../components/Page";
import { Prose } from "../components/Prose";
import { useTell } from "../components/Toasts";
import { Waits } from "../components/Waits";
import { links } from "../lib/links";

/** As the terminal says it, by itself. */
const sentence = (it: string) => `${it.charAt(0).toUpperCase()}${it.slice(1)}.`;

/** How many trainings, as the subject of a sentence. */
const slots = (it: SettingField | undefined) => {
  const most = Number(it?.value ?? it?.usual ?? 1);
  return most > 1 ? `up to ${most} trainings run` : "one training runs";
};

export function Queue() {
  const { data, error, refetch } = useQuery(queue);
  const names = new Map(useQuery(runs).data?.map((it) => [it.id, it]));
  const hasGpu = useQuery(machine).data?.gpus.length !== 0;
  const cpuSlots = useQuery({ ...settings, enabled: !hasGpu }).data?.fields.find((it) => it.key === "runs.cpu-slots");
  const [removing, setRemoving] = useState<{ run: string; name: string } | null>(null);
  const tell = useTell();
  const list = useRef<HTMLOListElement>(null);
  // Who was taken out, and from which place: the button that had the focus goes with the row.
  const removed = useRef<{ run: string; place: number } | null>(null);
  useEffect(() => {
    const it = removed.current;
    if (!it || removing || data?.entries.some((one) => one.run === it.run)) return;
    removed.current = null;
    // Whoever has gone elsewhere meanwhile stays there.
    if (document.activeElement !== null && document.activeElement !== document.body) return;
    const rows = list.current?.children ?? [];
    const next = rows[Math.min(it.place, rows.length - 1)]?.querySelector<HTMLElement>("button:last-of-type");
    (next ?? document.getElementById("main"))?.focus();
  }, [data, removing]);
  const last = (data?.entries.length ?? 0) - 1;
  const move = async (run: string, to: number) => {
    await api.changeQueued(run, { to });
    tell.say(`Moved to place ${to + 1}.`);
  };
  return (
    <Page
      title="Queue"
      lead={hasGpu
        ? "Trainings that wait for a GPU. Each starts by itself when its turn has come, whether this page is open or not."
        : <>Without a GPU {slots(cpuSlots)} at a time (<code>runs.cpu-slots</code> in <Link href={links.settings}>Settings</Link>). The others wait here, and each starts by itself when its turn has come, whether this page is open or not.</>}
      actions={data && (
        <Action act={() => api.holdQueue(!data.held)} title={data.held ? "Let the next one start" : "Nothing starts until you release it; what runs goes on"}>
          {data.held ? "Resume the queue" : "Hold the queue"}
        </Action>
      )}
    >
      <div className="stack">
        {error && <ErrorNote error={error} retry={() => void refetch()} />}
        {data?.problem && <div className="note tone-bad"><p><Prose text={data.problem} /></p></div>}
        {data?.held && <div className="note tone-warn"><p><Prose text={sentence(data.why_held ?? "the queue is held: no run begins")} /></p></div>}
        {data && data.entries.length === 0 && (
          <div className="panel empty"><p>Nothing waits.</p><p className="small">Choose “Wait in the queue” when you start a training while {hasGpu ? "its GPUs are busy" : "another one runs"}.</p></div>
        )}
        {data && data.entries.length > 0 && (
          <ol className="panel list queue" ref={list}>
            {data.entries.map((it, index) => {
              const name = names.get(it.run)?.name ?? it.run;
              return (
                <li key={it.run}>
                  <span className="place" aria-hidden="true">{index + 1}</span>
                  <div className="grow">
                    <div className="row"><Link href={links.run(it.run)}><strong>{name}</strong></Link>
                      <span className="small muted">{names.get(it.run)?.config} on {it.devices}</span>
                      {it.held && <span className="badge tone-warn">held</span>}</div>
                    <p className="small muted"><Waits text={it.waits_for} /></p>
                  </div>
                  <div className="row">
                    <Action className="small icon" act={() => move(it.run, index - 1)} not={index === 0 ? "it is the first" : null} title="Move up"><Icon name="up" /><span className="hidden">Move {name} up</span></Action>
                    <Action className="small icon" act={() => move(it.run, index + 1)} not={index === last ? "it is the last" : null} title="Move down"><Icon name="down" /><span className="hidden">Move {name} down</span></Action>
                    <Action className="small" act={() => api.changeQueued(it.run, { held: !it.held })} title={it.held ? "Let it start when its turn comes" : "Others go before it until you release it"}>{it.held ? "Release" : "Hold"}</Action>
                    <Action className="small" act={() => setRemoving({ run: it.run, name })}>Remove…<span className="hidden"> {name}</span></Action>
                  </div>
                </li>
              );
            })}
          </ol>
        )}
        {removing && <RemoveDialog {...removing} removed={() => { removed.current = { run: removing.run, place: data?.entries.findIndex((it) => it.run === removing.run) ?? 0 }; }} close={() => setRemoving(null)} />}
      </div>
    </Page>
  );
}

function RemoveDialog({ run, name, removed, close }: { run: string; name: string; removed: () => void; close: () => void }) {
  const tell = useTell();
  const remove = async () => {
    removed();
    await api.removeQueued(run);
    tell.say(`${name} was taken out of the queue.`);
    close();
  };
  return (
    <Dialog title={`Take ${name} out of the queue?`} close={close}
      footer={<><button className="button" onClick={close}>Keep it</button><Action act={remove} className="danger">Remove</Action></>}>
      <p>It has not begun, so nothing is lost.</p>
    </Dialog>
  );
}
