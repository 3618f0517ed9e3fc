// The keys of dpgui.toml as a form: what is grouped with what, and which of them somebody has changed.
import type { SettingChange, SettingField } from "../api/types";

/** What is typed and not saved, by key; empty is as usual. */
export type Typed = Record<string, string>;
export type Group = { title: string; from: string; fields: SettingField[] };

const GROUPS: [title: string, tables: string[]][] = [
  ["Setup and downloads", ["torch", "cache"]],
  ["Runs and logs", ["runs", "logs"]],
  ["This page", ["ui"]],
  ["Mirrors", ["mirror-fallback", "sources"]],
];

const FROM: Record<SettingField["counts"], string> = {
  "next-setup": "the next `dpgui setup`",
  "next-run": "the next run",
  "next-server": "the next start of `dpgui ui`",
};

const table = (it: SettingField) => it.key.split(".")[0] ?? "";

/** What is in no group has one of its own, so that nothing is left out. */
export function groups(fields: SettingField[]): Group[] {
  const known = GROUPS.flatMap(([, tables]) => tables);
  const others = [...new Set(fields.map(table).filter((it) => !known.includes(it)))];
  const all = [...GROUPS, ...others.map((it): [string, string[]] => [it, [it]])];
  return all
    .map(([title, tables]) => ({ title, of: fields.filter((it) => tables.includes(table(it))) }))
    .flatMap(({ title, of }) => (of[0] ? [{ title, from: FROM[of[0].counts], fields: of }] : []));
}

/** What the file has, or what is typed over it. */
export const valueOf = (field: SettingField, typed: Typed) => typed[field.key] ?? field.value ?? "";

/** What is to be written: what is typed and is not what the file says. */
export function changes(fields: SettingField[], typed: Typed): SettingChange[] {
  const changed = fields.filter((it) => valueOf(it, typed).trim() !== (it.value ?? ""));
  return changed.map((it) => ({ key: it.key, value: valueOf(it, typed).trim() || null }));
}
