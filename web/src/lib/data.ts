// What a check of data says, gathered from its events. The shapes are those of `dpgui data check --json --list all`.
import type { ConfigRow, JobEvent } from "../api/types";
import { baseName } from "./format";

export type Place = { ratio: number; size: [number, number, number]; crop: [number, number, number, number] };

export type Item = {
  path: string;
  width: number | null;
  height: number | null;
  frames: number;
  captions: number;
  dropped: string | null;
  flaw: string | null;
  /** What is the matter with the text of its caption. */
  captionFlaw: string | null;
  isWordless: boolean;
  isVideo: boolean;
  buckets: Place[];
};

export type Bucket = {
  dataset: string;
  width: number;
  height: number;
  frames: number;
  ratio: number | null;
  files: number;
  samples: number;
  batch: number;
  trained: number;
  lost: number;
  cut: number;
};

export type DataFinding = { severity: "error" | "warning" | "note"; message: string; consequence: string | null; fix: string | null };
export type Folder = { dataset: string; path: string; files: number; dropped: number };
export type Total = { dataset: string; evaluation: boolean; files: number; files_trained: number; samples: number; samples_trained: number; steps: number };
export type Report = { items: Item[]; buckets: Bucket[]; folders: Folder[]; findings: DataFinding[]; totals: Total[] };

const MOVING = /\.(mp4|mkv|webm|mov|avi|m4v|gif)$/i;
const text = (it: unknown): string | null => (typeof it === "string" ? it : null);
const number = (it: unknown): number | null => (typeof it === "number" && Number.isFinite(it) ? it : null);
const count = (it: unknown): number => number(it) ?? 0;

export function report(events: JobEvent[]): Report {
  const it: Report = { items: [], buckets: [], folders: [], findings: [], totals: [] };
  for (const event of events) {
    if (event.event === "item") it.items.push(item(event));
    else if (event.event === "bucket") it.buckets.push(bucket(event));
    else if (event.event === "folder") {
      it.folders.push({ dataset: text(event.dataset) ?? "", path: text(event.path) ?? "", files: count(event.files), dropped: count(event.dropped) });
    } else if (event.event === "finding") {
      const severity = (text(event.severity) ?? "note") as DataFinding["severity"];
      it.findings.push({ severity, message: text(event.message) ?? "", consequence: text(event.consequence), fix: text(event.fix) });
    } else if (event.event === "data") {
      it.totals.push({
        dataset: text(event.dataset) ?? "", evaluation: event.evaluation === true, files: count(event.files), files_trained: count(event.files_trained),
        samples: count(event.samples), samples_trained: count(event.samples_trained), steps: count(event.steps),
      });
    }
  }
  // Those without a caption first: there something is to be done.
  const rank = (one: Item) => (wantsCaption(one) ? 0 : one.dropped !== null || one.flaw !== null || one.captionFlaw !== null ? 1 : 2);
  it.items = it.items.map((one, index) => ({ one, index, rank: rank(one) })).sort((a, b) => a.rank - b.rank || a.index - b.index).map(({ one }) => one);
  return it;
}

function item(event: JobEvent): Item {
  const path = text(event.path) ?? "";
  return {
    path, width: number(event.width), height: number(event.height), frames: count(event.frames), captions: count(event.captions),
    dropped: text(event.dropped), flaw: event.flaw === null || event.flaw === undefined ? null : (text(event.flaw) ?? JSON.stringify(event.flaw)),
    captionFlaw: text(event.caption_flaw), isWordless: event.finding === "captions-empty",
    isVideo: (event.video !== null && event.video !== undefined) || MOVING.test(path), buckets: Array.isArray(event.buckets) ? (event.buckets as Place[]) : [],
  };
}

function bucket(event: JobEvent): Bucket {
  return {
    dataset: text(event.dataset) ?? "", width: count(event.width), height: count(event.height), frames: count(event.frames), ratio: number(event.ratio),
    files: count(event.files), samples: count(event.samples), batch: count(event.batch), trained: count(event.trained), lost: count(event.lost),
    cut: count(event.cut_pixels_mean),
  };
}

/** When the newer of a configuration's two files was changed, as far as they are both in `configs`. */
export function lastChange(rows: ConfigRow[], config: string): string | null {
  const training = rows.find((it) => it.name === config);
  const dataset = training?.dataset ? rows.find((it) => it.name === baseName(training.dataset ?? "")) : undefined;
  const times = [training, dataset].map((it) => it?.modified ?? null).filter((it) => it !== null);
  return times.toSorted((a, b) => Date.parse(a) - Date.parse(b)).at(-1) ?? null;
}

// What is broken or foreign has a caption no more than it has anything else: there is something else to be done.
// What has a caption without words is told of as that, and is among those that want one.
export const isCaptionless = (it: Item) => it.captions === 0 && it.flaw === null;
const wantsCaption = (it: Item) => isCaptionless(it) || it.isWordless;

export const KINDS = ["all", "no caption", "dropped", "trained"] as const;
export type Kind = (typeof KINDS)[number];

export function fits(it: Item, kind: Kind, words: string, size: string): boolean {
  const of = { all: true, "no caption": wantsCaption(it), dropped: it.dropped !== null, trained: it.dropped === null }[kind];
  return of && (size === "" || it.buckets.some((place) => place.size.join("x") === size)) && it.path.toLowerCase().includes(words.toLowerCase());
}

/** Images that FFmpeg alone decodes, where the server's own decoders do not. */
const RARE = /\.(avif|avifs|heic|heif|jxl|jp2|jpx|j2k|exr|hdr|tga|psd)$/i;

/** Why there is no small picture, of what the server said: only with a video, or a rare kind of image, FFmpeg would help. */
export function noPicture(it: Item, said: string): string {
  if (it.flaw !== null) return it.flaw;
  return said.includes("ffmpeg") && !it.isVideo && !RARE.test(it.path) ? "neither image nor video, or damaged" : said;
}

/** A crop on a picture of this size, in percent; `null` if all of it is taken. */
export function cropBox(it: Item, place: Place): { left: number; top: number; width: number; height: number } | null {
  const [left, top, right, bottom] = place.crop;
  if (!it.width || !it.height) return null;
  if (left <= 0.5 && top <= 0.5 && right >= it.width - 0.5 && bottom >= it.height - 0.5) return null;
  const [x, y] = [100 / it.width, 100 / it.height];
  return { left: left * x, top: top * y, width: (right - left) * x, height: (bottom - top) * y };
}
