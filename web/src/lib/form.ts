// The form of a model type, laid over what the two files say.
import type { Field, Finding, Form, Section, Values } from "../api/types";
import { shown } from "./toml";

export type File = "training" | "dataset";
/** A field at its place: the key as `config set` takes it, and its name in the form. */
export type Placed = Field & { file: File; place: string };
export type Block = { id: string; title: string; file: File; fields: Placed[]; folder: number | null };

/** The server says where in the files a section stands; people look for what it is about. */
const TITLES: Record<string, string> = {
  training: "Training", model: "Model", adapter: "Adapter", optimizer: "Optimizer", monitoring: "Monitoring", dataset: "Dataset", directory: "Folder",
};

const fileOf = (section: Section): File => (section.id === "dataset" || section.id === "directory" ? "dataset" : "training");

/** `directory[0].path` as the steps to it. */
export function steps(key: string): string[] {
  return key.replace(/\[(\d*)\]/g, ".$1").split(".").filter((it) => it !== "");
}

export function valueAt(values: Values | null | undefined, key: string): unknown {
  let it: unknown = values;
  for (const step of steps(key)) {
    if (typeof it !== "object" || it === null) return undefined;
    it = (it as Values)[step];
  }
  return it;
}

export const folders = (dataset: Values | null): unknown[] => (Array.isArray(dataset?.directory) ? dataset.directory : []);

function placed(field: Field, section: Section, folder: number | null): Placed {
  const file = fileOf(section);
  const key = folder === null ? field.key : field.key.replace("[]", `[${folder}]`);
  return { ...field, key, file, place: [file, ...steps(key)].join(".") };
}

/** The sections with the keys of the chosen adapter and optimizer, and one block a folder. */
export function blocks(form: Form, training: Values | null, dataset: Values | null): Block[] {
  const all: Block[] = [];
  for (const section of form.sections) {
    const file = fileOf(section);
    if (section.id === "directory") {
      folders(dataset).forEach((_, folder) => {
        const fields = section.fields.map((it) => placed(it, section, folder));
        all.push({ id: `directory-${folder}`, title: `${TITLES.directory} ${folder + 1}`, file, fields, folder });
      });
      continue;
    }
    const type = shown(valueAt(training, `${section.id}.type`));
    const more = section.id === "adapter" ? form.adapters[type] : section.id === "optimizer" ? find(form.optimizers, type) : undefined;
    const known = new Set(section.fields.map((it) => it.key));
    const fields = [...section.fields, ...(more ?? []).filter((it) => !known.has(it.key))].map((it) => placed(it, section, null));
    all.push({ id: section.id, title: TITLES[section.id] ?? section.title, file, fields, folder: null });
  }
  return all;
}

/** Optimizers are named in any letter case; `*` is for those that are not described. */
const find = (of: Form["optimizers"], type: string): Field[] | undefined =>
  of[type] ?? Object.entries(of).find(([name]) => name.toLowerCase() === type.toLowerCase())?.[1] ?? of["*"];

/** What has to be given, out of all blocks; the rest stays where it is. */
export function split(all: Block[]): { required: Placed[]; rest: Block[] } {
  const isRequired = (it: Placed) => it.required === "yes";
  const required = all.flatMap((block) => block.fields.filter(isRequired));
  const rest = all.map((block) => ({ ...block, fields: block.fields.filter((it) => !isRequired(it)) }));
  return { required, rest: rest.filter((block) => block.fields.length > 0) };
}

/** The values as texts, in a tree as the form names its fields. */
export function texts(all: Block[], training: Values | null, dataset: Values | null): Values {
  const tree: Values = {};
  for (const field of all.flatMap((block) => block.fields)) {
    const way = field.place.split(".");
    const last = way.pop() ?? "";
    let at = tree;
    for (const step of way) at = (at[step] ??= {}) as Values;
    // What a secret is nobody is told; a field that shows something in its place would write that.
    at[last] = field.secret ? "" : shown(valueAt(field.file === "training" ? training : dataset, field.key));
  }
  return tree;
}

export function findingsOf(findings: Finding[], field: { key: string; file: File }): Finding[] {
  return findings.filter((it) => it.file === field.file && it.key !== null && (it.key === field.key || it.key.startsWith(`${field.key}[`) || it.key.startsWith(`${field.key}.`)));
}

const RANK = { error: 0, warning: 1, note: 2 };
export const byWeight = (findings: Finding[]): Finding[] =>
  findings.toSorted((a, b) => RANK[a.severity] - RANK[b.severity] || a.file.localeCompare(b.file) * -1 || a.line - b.line);

export const fits = (field: Placed, words: string): boolean => {
  const text = `${field.key} ${field.doc} ${field.note ?? ""}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
};

export const stem = (name: string) => name.replace(/\.toml$/, "");

/** What a run of a configuration is called unless it is said: the nearest name to its own that has only these letters, as the server makes it. */
export function runName(config: string): string {
  const name = [...stem(config)].map((it) => (/[A-Za-z0-9._-]/.test(it) ? it : "-")).join("");
  return name.replace(/^[^A-Za-z0-9]+/, "").slice(0, 64) || "run";
}

/** The dataset file of another training file, in the folder of the one that is named now. */
export function datasetFor(name: string, now: string): string {
  const folder = now.includes("/") ? now.slice(0, now.lastIndexOf("/") + 1) : "";
  return `${folder}${stem(name)}-dataset.toml`;
}
