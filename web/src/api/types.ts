// The shapes of the server's API. Only this file names them; it is replaced by one that is generated.

export type ApiErrorBody = { kind: string; message: string; causes: string[]; hint: string | null };

export type Gpu = { index: number; name: string; uuid: string | null; memory_bytes: number | null };

export type Machine = {
  version: string;
  workspace: string;
  hostname: string;
  kernel: string;
  arch: string;
  cores: number;
  wsl: boolean;
  driver: string | null;
  gpus: Gpu[];
  configs: number;
  /** Something lies in `data/`. */
  has_data: boolean;
};

export type GpuSample = {
  index: number;
  utilisation_percent: number | null;
  memory_used: number | null;
  memory_total: number | null;
  temperature_c: number | null;
  power_w: number | null;
  throttled: string | null;
};

/** Bytes. */
export type Room = { free: number; total: number };

export type Sample = {
  time: string;
  memory: Room | null;
  disk: Room | null;
  gpus: GpuSample[];
};

export type JobRequest =
  | { kind: "setup-plan" }
  | { kind: "setup" }
  | { kind: "doctor"; fix?: boolean; full?: boolean }
  | { kind: "data-check"; config: string }
  | { kind: "export"; run: string; step?: number }
  | { kind: "demo" };

export type Job = {
  id: string;
  kind: string;
  subject: string | null;
  command: string;
  state: "running" | "done" | "failed" | "cancelled";
  exit_code: number | null;
  error: ApiErrorBody | null;
  started: string;
  ended: string | null;
  events: number;
};

export type JobEvent = { event: string; [field: string]: unknown };
export type JobEvents = { events: JobEvent[]; next: number; job: Job };

export type RunRow = {
  id: string;
  name: string;
  state: string;
  live: boolean;
  queued: boolean;
  sentence: string | null;
  diagnosis: string | null;
  epoch: number | null;
  epochs: number | null;
  step: number | null;
  total_steps: number | null;
  loss: number | null;
  pace: number | null;
  left_seconds: number | null;
  devices: string;
  config: string;
  started: string;
  /** From its start to its end; `null` while it goes on. */
  seconds: number | null;
};

/** A checkpoint, which has a step, or a model that was saved. */
export type Kept = {
  name: string;
  step: number | null;
  path: string;
  written: string;
  bytes: number;
  is_latest: boolean;
  fault: string | null;
};

/** `null`: it may be done; text: why not. */
export type May = { stop: string | null; save: string | null; resume: string | null; export: string | null };

export type RunDetail = RunRow & {
  folder: string;
  source: string;
  output_dir: string;
  launcher: string;
  args: string[];
  resumes: string | null;
  stopping: string | null;
  streams: string[];
  restarts: number;
  alarm: string | null;
  checkpoints: Kept[];
  models: Kept[];
  full_diagnosis: { cause: string; evidence: string[]; advice: string[] } | null;
  files: { name: string; text: string }[];
  may: May;
};

export type Scalar = { tag: string; step: number[]; value: (number | null)[] };

export type Metrics = {
  next: number;
  step: number[];
  time: number[];
  loss: (number | null)[];
  smoothed: (number | null)[];
  seconds_per_step: number[];
  lr: (number | null)[];
  grad_norm: (number | null)[];
  epoch: (number | null)[];
  scalars: Scalar[];
};

export type ComparedRun = {
  id: string;
  state: string;
  config: string;
  devices: string;
  seconds: number | null;
  steps: number | null;
  last_loss: number | null;
  average_loss: number | null;
  best_average_loss: number | null;
  best_step: number | null;
  seconds_per_step: number | null;
};

export type Comparison = { runs: ComparedRun[]; differences: { key: string; values: (string | null)[] }[] };

export type StartRequest = {
  config: string;
  name?: string;
  gpus?: number[];
  queue?: boolean;
  share?: boolean;
  resume?: { run?: string; step?: number } | null;
  restarts?: number;
  on_nan?: "keep" | "stop";
  on_stall?: "notify" | "stop" | "restart";
};

export type Started = {
  run: string;
  warnings: string[];
  data: string[];
  changes: string[];
  place: number | null;
  resumes_step: number | null;
};

export type StopManner = "graceful" | "no-save" | "now";

export type Queue = {
  held: boolean;
  entries: { run: string; held: boolean; waits_for: string; devices: string }[];
  /** Why it cannot be told. */
  problem: string | null;
};

export type StreamEvent =
  | { type: "runs"; runs: RunRow[] }
  | { type: "sample"; sample: Sample }
  | { type: "queue"; queue: Queue }
  | { type: "jobs"; jobs: Job[] }
  | { type: "job-events"; job: string; from: number; events: JobEvent[] }
  | { type: "server"; version: string };

export type LogNotice =
  | { type: "start"; offset: number; size: number }
  /** `lost`: those bytes never reached the log; otherwise they were left out because the page was slow. */
  | { type: "gap"; from: number; to: number; lost: boolean }
  | { type: "trimmed"; to: number }
  | { type: "end"; size: number }
  | { type: "failed"; message: string };

export type Model = {
  name: string;
  title: string;
  trains: string[];
  video: string | null;
  fp8: boolean;
  swap: string | null;
  needs: string[];
  presets: string[];
  full_finetune: boolean;
};

export type Field = {
  key: string;
  name: string;
  kind: string;
  required: string | null;
  default: string | null;
  choices: string[];
  recommended: string[];
  min: number | null;
  max: number | null;
  path: string | null;
  secret: boolean;
  deprecated: boolean;
  doc: string;
  note: string | null;
};

export type SectionId = "training" | "model" | "adapter" | "optimizer" | "monitoring" | "dataset" | "directory";
export type Section = { id: SectionId; title: string; fields: Field[] };

export type Form = {
  model: string;
  sections: Section[];
  adapters: { [type: string]: Field[] };
  optimizers: { [type: string]: Field[] };
};

export type Pair = { training: string; dataset: string };

export type Finding = {
  id: string;
  severity: "error" | "warning" | "note";
  file: "training" | "dataset";
  line: number;
  column: number;
  key: string | null;
  message: string;
  outcome: string | null;
  fix: string | null;
  fixable: boolean;
};

export type Derived = {
  gpus: number | null;
  pipeline_stages: number | null;
  copies: number | null;
  micro_batch_size: number | null;
  gradient_accumulation_steps: number | null;
  global_batch: number | null;
  steps_per_epoch: number | null;
  total_steps: number | null;
  trained_weights: number | null;
  size_unknown: string | null;
  saved_models: number | null;
  saved_bytes: number | null;
  checkpoint_bytes: number | null;
};

export type Values = { [key: string]: unknown };

export type Checked = {
  findings: Finding[];
  values: Values | null;
  dataset_values: Values | null;
  derived: Derived | null;
};

export type ConfigRow = {
  name: string;
  path: string;
  model: string | null;
  modified: string;
  dataset: string | null;
  kind: "training" | "dataset" | "broken";
};

export type ConfigFile = {
  name: string;
  training: { text: string; digest: string };
  dataset: { name: string; text: string; digest: string } | null;
};

export type Digests = { training: string | null; dataset: string | null };
export type SaveRequest = { training: string; dataset: string | null; digests: Digests };

export type Folder = {
  path: string | null;
  parent: string | null;
  roots: string[];
  entries: { name: string; folder: boolean; media: number | null; bytes: number | null }[];
};

export type Caption = { text: string | null; digest: string | null; path: string };

export type Settings = {
  workspace: string;
  settings_file: string;
  settings_text: string | null;
  cache_dir: string;
  roots: string[];
  mirrors: { name: string; value: string }[];
  secrets: { name: string; set: boolean }[];
  torch_profile: string;
  host: string;
  port: number;
  version: string;
};
