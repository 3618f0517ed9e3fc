// What happens, live: one WebSocket a page, which writes into the cache that every view reads.
import type { QueryClient } from "@tanstack/react-query";
import { delay } from "../lib/backoff";
import { api } from "./client";
import type { Job, JobEvent, RunRow, Sample, StreamEvent } from "./types";
import { keys, type Numbers } from "./queries";
import { withSample } from "../lib/samples";

/** Everything of a job that has come so far. */
export type JobLog = { events: JobEvent[]; next: number };

export type Link = "connecting" | "live" | "lost";

let link: Link = "connecting";
const listeners = new Set<() => void>();

export const linkState = () => link;
export function onLink(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function setLink(it: Link) {
  if (link === it) return;
  link = it;
  listeners.forEach((listener) => listener());
}

/** Opens the stream, and again whenever it ends, until the returned function is called. */
export function follow(client: QueryClient): () => void {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [tries, over] = [0, false];
  /** The jobs that this page was said to look at. */
  let told = "";

  /** What commands say comes for those alone that somebody looks at here, from where this page is. */
  const tell = () => {
    const jobs = lookedAt(client);
    const names = Object.keys(jobs).sort().join();
    if (names === told || socket?.readyState !== WebSocket.OPEN) return;
    told = names;
    socket.send(JSON.stringify({ jobs }));
  };
  const unsubscribe = client.getQueryCache().subscribe(tell);

  const connect = () => {
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/events`);
    let opened = false;
    socket.onopen = () => {
      opened = true;
      // What was missed meanwhile is asked for again; the stream itself brings runs, jobs and the queue.
      if (link === "lost") {
        // A run may have ended meanwhile.
        client.setQueriesData({ queryKey: ["metrics"] }, askedWhole);
        void client.invalidateQueries();
      }
      setLink("live");
      told = "";
      tell();
    };
    socket.onmessage = ({ data }) => {
      tries = 0;
      take(client, JSON.parse(String(data)) as StreamEvent);
    };
    socket.onclose = () => {
      if (over) return;
      setLink("lost");
      if (!opened) void api.session().catch(() => {});
      timer = setTimeout(connect, delay(tries++));
    };
  };
  const hurry = () => {
    // Somebody looks: no waiting for a timer that a hidden page has stretched.
    if (document.visibilityState === "visible" && link === "lost" && socket?.readyState === WebSocket.CLOSED) {
      clearTimeout(timer);
      connect();
    }
  };
  document.addEventListener("visibilitychange", hurry);
  connect();
  return () => {
    over = true;
    unsubscribe();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", hurry);
    socket?.close();
    setLink("connecting");
  };
}

/** The jobs whose events are shown somewhere, with how many of them are there. */
function lookedAt(client: QueryClient): Record<string, number> {
  const shown = client.getQueryCache().findAll({ queryKey: ["job"], type: "active" });
  return Object.fromEntries(shown.flatMap(({ queryKey, state }) => {
    const log = state.data as JobLog | undefined;
    return log ? [[String(queryKey[1]), log.next]] : [];
  }));
}

/** Brings what happened into the cache. */
export function take(client: QueryClient, it: StreamEvent) {
  switch (it.type) {
    case "runs":
      endRuns(client, it.runs);
      client.setQueryData(keys.runs, it.runs);
      break;
    case "queue":
      client.setQueryData(keys.queue, it.queue);
      break;
    case "jobs":
      client.setQueryData(keys.jobs, it.jobs);
      catchUp(client, it.jobs);
      endJobs(client, it.jobs);
      break;
    case "sample":
      client.setQueryData(keys.samples, (old: Sample[] | undefined) => old && withSample(old, it.sample));
      client.setQueryData(keys.sample, it.sample);
      break;
    case "job-events":
      extend(client, it.job, it.from, it.events);
      break;
    case "server":
      client.setQueryData(keys.server, it.version);
      break;
  }
}

/** Events that came while a job's first ones were being asked for are asked for as well. */
function catchUp(client: QueryClient, jobs: Job[]) {
  for (const job of jobs) {
    const log = client.getQueryData<JobLog>(keys.job(job.id));
    if (log && log.next < job.events) void client.invalidateQueries({ queryKey: keys.job(job.id) });
  }
}

/** Jobs that are over have changed the machine: what was looked at before is looked at again. */
function endJobs(client: QueryClient, jobs: Job[]) {
  const ended = jobs.filter((job) => job.state !== "running").map((job) => job.id);
  const known = client.getQueryData<string[]>(keys.endedJobs);
  client.setQueryData(keys.endedJobs, ended);
  if (known && ended.some((id) => !known.includes(id))) {
    for (const key of [keys.machine, keys.configs, ["run"]]) void client.invalidateQueries({ queryKey: key });
  }
}

/** What came of a run while it trained is not all of it once it is over, whoever looks at it then: all of that is asked for again. */
function endRuns(client: QueryClient, rows: RunRow[]) {
  const wasLive = new Set(client.getQueryData<RunRow[]>(keys.runs)?.filter((it) => it.live).map((it) => it.id));
  const ended = rows.filter((it) => !it.live && wasLive.has(it.id));
  for (const { id } of ended) {
    client.setQueryData(keys.metrics(id), askedWhole);
    for (const key of [keys.metrics(id), keys.runGpus(id), keys.run(id)]) void client.invalidateQueries({ queryKey: key });
  }
  if (ended.length > 0) void client.invalidateQueries({ queryKey: keys.compare });
}

/** With its evaluations too the next time, which do not come with what is new. */
const askedWhole = (old: Numbers | undefined) => old && { ...old, whole: 0 };

/** Only jobs that somebody looks at are kept; a hole is filled by asking. */
function extend(client: QueryClient, job: string, from: number, events: JobEvent[]) {
  const key = keys.job(job);
  const old = client.getQueryData<JobLog>(key);
  if (!old) return;
  if (from > old.next) {
    void client.invalidateQueries({ queryKey: key });
    return;
  }
  const more = events.slice(old.next - from);
  if (more.length > 0) client.setQueryData<JobLog>(key, { events: [...old.events, ...more], next: old.next + more.length });
}
