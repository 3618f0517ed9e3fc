// The one way to ask the server, and the one shape of what goes wrong.
import axios, { type AxiosRequestConfig, type AxiosResponse } from "axios";
import type {
  ApiErrorBody, Caption, Checked, Comparison, ConfigFile, ConfigRow, Digests, Folder, Form, FoundInLog, Job, JobEvents, JobRequest,
  Machine, Metrics, Model, NameSaid, Pair, Queue, RunDetail, RunGpus, RunRow, Sample, SaveRequest, SettingChange, Settings, Started, StartRequest,
  StopManner,
} from "./types";

/** What the terminal would print: message, causes, one hint. */
export class ApiError extends Error {
  readonly kind: string;
  readonly causes: string[];
  readonly hint: string | null;
  readonly status: number;

  constructor(body: ApiErrorBody, status: number) {
    super(body.message);
    this.kind = body.kind;
    this.causes = body.causes;
    this.hint = body.hint;
    this.status = status;
  }
}

const http = axios.create({
  baseURL: "/",
  // The server wants both on whatever changes something: other sites cannot send them.
  headers: { "Content-Type": "application/json", "X-Dpgui": "1" },
});

function isBody(it: unknown): it is { error: ApiErrorBody } {
  const error = (it as { error?: ApiErrorBody } | null | undefined)?.error;
  return typeof error === "object" && error !== null && typeof error.message === "string";
}

/** Any failure as an `ApiError`, one without a server included. */
export function asApiError(failure: unknown): ApiError {
  if (failure instanceof ApiError) return failure;
  if (axios.isAxiosError(failure)) {
    const status = failure.response?.status ?? 0;
    if (isBody(failure.response?.data)) return new ApiError(failure.response.data.error, status);
    if (failure.response) {
      const message = `the server answered with status ${status}`;
      return new ApiError({ kind: "internal", message, causes: [], hint: null }, status);
    }
    const hint = "is `dpgui ui` still running? the page goes on by itself when it is back";
    return new ApiError({ kind: "network", message: "no answer from dpgui", causes: [failure.message], hint }, 0);
  }
  const message = failure instanceof Error ? failure.message : String(failure);
  return new ApiError({ kind: "page", message, causes: [], hint: null }, 0);
}

/** Who wants to know that the session is over. */
let onUnauthorised = () => {};
export function whenUnauthorised(then: () => void) {
  onUnauthorised = then;
}

/** That the workspace has gone from under the server, as it was last told. */
let gone: ApiError | null = null;
const watchers = new Set<() => void>();
export const workspaceGone = () => gone;
export function onWorkspace(watcher: () => void) {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}
function tellGone(it: ApiError | null) {
  if (gone?.message === it?.message) return;
  gone = it;
  watchers.forEach((watcher) => watcher());
}

const SESSION = "/api/session";

const ask = async <T>(method: string, url: string, data?: unknown, more?: AxiosRequestConfig): Promise<T> => (await answer<T>(method, url, data, more)).data;

async function answer<T>(method: string, url: string, data?: unknown, more?: AxiosRequestConfig): Promise<AxiosResponse<T>> {
  try {
    const body = data ?? (method === "GET" ? undefined : {});
    const answered = await http.request<T>({ method, url, data: body, ...more });
    // The session says nothing of the workspace.
    if (!url.startsWith(SESSION)) tellGone(null);
    return answered;
  } catch (failure) {
    const error = asApiError(failure);
    if (error.kind === "no-workspace") tellGone(error);
    // A key that is refused says nothing about a session that there is.
    if (error.status === 401 && !(method === "POST" && url === SESSION)) onUnauthorised();
    throw error;
  }
}

const part = encodeURIComponent;
const get = <T>(url: string, params?: object, signal?: AbortSignal) => ask<T>("GET", url, undefined, { params, signal });

export const api = {
  signIn: (token: string) => ask<void>("POST", SESSION, { token }),
  session: () => get<void>(SESSION),
  signOut: () => ask<void>("DELETE", SESSION),
  rotate: () => ask<void>("POST", "/api/session/rotate"),

  machine: () => get<Machine>("/api/machine"),
  samples: () => get<Sample[]>("/api/samples"),
  settings: () => get<Settings>("/api/settings"),
  checkSettings: (changes: SettingChange[]) =>
    ask<{ findings: { key: string; message: string }[] }>("POST", "/api/settings/check", { changes }),
  saveSettings: (changes: SettingChange[], digest: string | null) =>
    ask<{ digest: string }>("PUT", "/api/settings", { changes, digest }),

  jobs: () => get<Job[]>("/api/jobs"),
  job: (id: string, from: number, limit: number) => get<JobEvents>(`/api/jobs/${part(id)}/events`, { from, limit }),
  startJob: (request: JobRequest) => ask<Job>("POST", "/api/jobs", request),
  cancelJob: (id: string) => ask<void>("POST", `/api/jobs/${part(id)}/cancel`),

  runs: () => get<RunRow[]>("/api/runs"),
  run: (id: string) => get<RunDetail>(`/api/runs/${part(id)}`),
  metrics: (id: string, from: number) => get<Metrics>(`/api/runs/${part(id)}/metrics`, { from }),
  runGpus: (id: string) => get<RunGpus>(`/api/runs/${part(id)}/gpus`),
  searchLog: (id: string, how: { q: string; stream: string; from: number; line: number }, signal?: AbortSignal) =>
    get<FoundInLog>(`/api/runs/${part(id)}/log/search`, { ...how, ignore_case: true }, signal),
  compare: (ids: string[]) => get<Comparison>("/api/runs/compare", { ids: ids.join(",") }),
  start: (request: StartRequest) => ask<Started>("POST", "/api/runs", request),
  stop: (id: string, manner: StopManner) => ask<Job>("POST", `/api/runs/${part(id)}/stop`, { manner }),
  save: (id: string) => ask<Job>("POST", `/api/runs/${part(id)}/save`),
  resume: (id: string, how: { step?: number; queue?: boolean }) =>
    ask<Started>("POST", `/api/runs/${part(id)}/resume`, how),
  /** A piece of a log as the bytes that it is, and where it begins: later than asked for where the log does not go back so far. */
  logPiece: async (id: string, stream: string, from: number, to: number) => {
    const { data, headers } = await answer<ArrayBuffer>("GET", logFile(id, stream), undefined, {
      responseType: "arraybuffer",
      headers: { Range: `bytes=${from}-${to - 1}` },
    });
    const start = /^bytes (\d+)-/.exec(String(headers["content-range"] ?? ""))?.[1];
    return { data, start: start === undefined ? from : Number(start) };
  },

  queue: () => get<Queue>("/api/queue"),
  holdQueue: (held: boolean) => ask<void>("POST", "/api/queue", { held }),
  changeQueued: (run: string, change: { to?: number; held?: boolean }) =>
    ask<void>("POST", `/api/queue/${part(run)}`, change),
  removeQueued: (run: string) => ask<void>("DELETE", `/api/queue/${part(run)}`),

  models: () => get<Model[]>("/api/models"),
  form: (model: string) => get<Form>(`/api/models/${part(model)}/form`),
  draft: (wish: { model: string; name?: string; preset?: string; full_finetune?: boolean }) =>
    ask<Pair>("POST", "/api/configs/draft", wish),
  check: (it: { name?: string; training: string; dataset: string | null; gpus?: number; batches_per_epoch?: number | undefined }, signal?: AbortSignal) =>
    ask<Checked>("POST", "/api/configs/check", it, { signal }),
  set: (name: string, file: "training" | "dataset", text: string, key: string, value: string | null) =>
    ask<{ text: string }>("POST", "/api/configs/set", { name, file, text, key, value }),
  mend: (pair: { name: string; training: string; dataset: string | null }) =>
    ask<{ training: string; dataset: string | null; changes: string[] }>("POST", "/api/configs/mend", pair),
  configs: () => get<ConfigRow[]>("/api/configs"),
  nameOf: (name: string) => get<NameSaid>(`/api/configs/${part(name)}/name`),
  config: (name: string) => get<ConfigFile>(`/api/configs/${part(name)}`),
  saveConfig: (name: string, request: SaveRequest) => ask<Digests>("PUT", `/api/configs/${part(name)}`, request),

  folder: (path: string | null) => get<Folder>("/api/folders", path === null ? undefined : { path }),
  caption: (path: string) => get<Caption>("/api/caption", { path }),
  saveCaption: (path: string, text: string, digest: string | null) =>
    ask<{ digest: string }>("PUT", "/api/caption", { path, text, digest }),
};

export const logFile = (id: string, stream: string) => `/api/runs/${part(id)}/log/raw?stream=${part(stream)}`;
export const thumbnail = (path: string) => `/api/media?path=${part(path)}`;
/** Why there is no thumbnail: of a picture that fails, a browser does not say. */
export const whyNoThumbnail = (path: string) =>
  get<unknown>(thumbnail(path)).then(() => "no picture", (failure: unknown) => asApiError(failure).message);
