// The shapes of the server's API by the names that the page uses. They are made of `types.gen.ts`, which `npm run types`
// makes of `openapi.json`; nothing else imports that file.
import type { components, paths } from "./types.gen";

type Schemas = components["schemas"];
type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : never;
type Method = "get" | "post" | "put";

/** Whatever may be left out in a request is `null` in an answer. */
type Whole<T> = T extends (infer Item)[]
  ? Whole<Item>[]
  : T extends object ? { [Key in keyof T]-?: Whole<Exclude<T[Key], undefined>> } : T;

type Answer<Path extends keyof paths, How extends Method = "get"> = paths[Path] extends Record<How, { responses: infer All }>
  ? Whole<{ [Status in keyof All]: Status extends 101 | 200 | 201 | 202 ? Json<All[Status]> : never }[keyof All]>
  : never;
type Body<Path extends keyof paths, How extends Method = "post"> = paths[Path] extends Record<How, { requestBody: infer Request }> ? Json<Request> : never;

export type ApiErrorBody = Whole<Schemas["ApiError"]>;

export type Machine = Answer<"/api/machine">;
export type Gpu = Machine["gpus"][number];
export type Sample = Answer<"/api/samples">[number];
export type GpuSample = Sample["gpus"][number];

export type JobRequest = Body<"/api/jobs">;
export type Job = Answer<"/api/jobs">[number];
/** What `dpgui --json` prints; every command has its own. */
export type JobEvent = { event: string; [field: string]: unknown };
export type JobEvents = Omit<Answer<"/api/jobs/{id}/events">, "events"> & { events: JobEvent[] };

export type RunRow = Answer<"/api/runs">[number];
export type RunDetail = Answer<"/api/runs/{id}">;
/** A checkpoint, which has a step, or a model that was saved. */
export type Kept = RunDetail["checkpoints"][number];
export type Metrics = Answer<"/api/runs/{id}/metrics">;
export type Scalar = Metrics["scalars"][number];
export type RunGpus = Answer<"/api/runs/{id}/gpus">;
export type FoundInLog = Answer<"/api/runs/{id}/log/search">;
export type Comparison = Answer<"/api/runs/compare">;
export type StartRequest = Body<"/api/runs">;
export type Started = Answer<"/api/runs", "post">;
export type StopManner = Schemas["StopManner"];
export type Queue = Answer<"/api/queue">;

type News = Answer<"/api/events">;
export type StreamEvent = Exclude<News, { type: "job-events" }> | (Omit<Extract<News, { type: "job-events" }>, "events"> & { events: JobEvent[] });
export type LogNotice = Answer<"/api/runs/{id}/log">;
export type MergedNotice = Answer<"/api/runs/{id}/log/merged">;

export type Model = Answer<"/api/models">[number];
export type Form = Answer<"/api/models/{name}/form">;
export type Section = Form["sections"][number];
export type Field = Section["fields"][number];
export type Pair = Answer<"/api/configs/draft", "post">;
export type Values = { [key: string]: unknown };
/** The values are what is written in the files; `null` where one is no TOML. */
export type Checked = Omit<Answer<"/api/configs/check", "post">, "findings" | "values" | "dataset_values"> & {
  findings: Finding[];
  values: Values | null;
  dataset_values: Values | null;
};
export type Severity = "error" | "warning" | "note";
export type Finding = Omit<Answer<"/api/configs/check", "post">["findings"][number], "severity"> & { severity: Severity };
export type Derived = NonNullable<Checked["derived"]>;
export type Mended = Answer<"/api/configs/mend", "post">;
export type NameSaid = Answer<"/api/configs/{name}/name">;
export type ConfigRow = Answer<"/api/configs">[number];
export type ConfigFile = Answer<"/api/configs/{name}">;
export type SaveRequest = Body<"/api/configs/{name}", "put">;
export type Digests = Answer<"/api/configs/{name}", "put">;

export type Folder = Answer<"/api/folders">;
export type Caption = Answer<"/api/caption">;
export type Settings = Answer<"/api/settings">;
export type SettingField = Settings["fields"][number];
export type SettingChange = Body<"/api/settings", "put">["changes"][number];
