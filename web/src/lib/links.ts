// Every address of the page is made here.
const part = encodeURIComponent;

function query(values: Record<string, string | number | null | undefined>): string {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length === 0 ? "" : `?${given.map(([name, value]) => `${name}=${part(String(value))}`).join("&")}`;
}

export const links = {
  overview: "/",
  runs: "/runs",
  run: (id: string, tab?: string) => `/runs/${part(id)}${query({ tab })}`,
  compare: (ids: string[]) => `/runs/compare${query({ ids: ids.join(",") })}`,
  queue: "/queue",
  fresh: (model?: string, preset?: string) => `/new${query({ model, preset })}`,
  configs: "/configs",
  config: (name: string) => `/configs/${part(name)}`,
  data: (config?: string) => `/data${query({ config })}`,
  settings: "/settings",
};

/** The id of a run, as a piece of a regular expression: the one that `src/run/id.rs` writes. */
export const RUN_ID = String.raw`\d{8}T\d{6}Z(?:\.\d+)?-[\w.-]+`;

/** The same query with some of it changed; `null` or an empty value leaves it out. */
export function changed(search: string, changes: Record<string, string | null>): string {
  const values = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") values.delete(name);
    else values.set(name, value);
  }
  const text = values.toString();
  return text === "" ? "" : `?${text}`;
}
