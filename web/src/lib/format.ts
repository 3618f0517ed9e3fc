// Numbers as people read them. `null` is a dash everywhere.

export const NONE = "–";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(it: number | null | undefined): string {
  if (it === null || it === undefined) return NONE;
  let [value, unit] = [it, 0];
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : significant(value)} ${UNITS[unit]}`;
}

const significant = (it: number) => it.toFixed(it >= 100 ? 0 : it >= 10 ? 1 : 2);

/** `2d 3h`, `4h 05m`, `6m 07s`, `8s`: what is not full does not count, as in the terminal. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, Math.floor(seconds));
  const two = (it: number) => String(it).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

/** A loss or a learning rate: four significant digits, an exponent where it is shorter. */
export function figure(it: number | null | undefined): string {
  if (it === null || it === undefined) return NONE;
  if (Number.isNaN(it)) return "NaN";
  if (!Number.isFinite(it)) return it > 0 ? "∞" : "−∞";
  const size = Math.abs(it);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return it.toExponential(2).replace(/\.?0+e/, "e");
  return size >= 1000 ? count(it) : it.toPrecision(4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export function count(it: number | null | undefined): string {
  return it === null || it === undefined ? NONE : Math.round(it).toLocaleString("en-US").replaceAll(",", "\u202f");
}

/** `76.0 M`: for numbers of which nobody reads the last digits. */
export function compact(it: number | null | undefined): string {
  if (it === null || it === undefined) return NONE;
  const [size, unit] = it >= 1e9 ? [1e9, " B"] : it >= 1e6 ? [1e6, " M"] : it >= 1e4 ? [1e3, " k"] : [1, ""];
  return unit === "" ? count(it) : significant(it / size) + unit;
}

/** Seconds per step, as the charts and the terminal have it. */
export const pace = (it: number | null | undefined): string =>
  it === null || it === undefined || it <= 0 ? NONE : `${figure(Number(it.toPrecision(3)))} s/step`;

export function percent(part: number | null | undefined, whole: number | null | undefined): number | null {
  if (part === null || part === undefined || !whole) return null;
  return Math.max(0, Math.min(100, (100 * part) / whole));
}

/** `14:03` today, else `3 Nov 14:03`, with the year if it is another one. */
export function moment(text: string | null | undefined, now: Date = new Date()): string {
  const it = text ? new Date(text) : null;
  if (!it || Number.isNaN(it.getTime())) return NONE;
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(it.getHours())}:${two(it.getMinutes())}`;
  if (it.toDateString() === now.toDateString()) return clock;
  const month = it.toLocaleString("en-GB", { month: "short" });
  const year = it.getFullYear() === now.getFullYear() ? "" : ` ${it.getFullYear()}`;
  return `${it.getDate()} ${month}${year} ${clock}`;
}

/** The last name of a path. */
export const baseName = (path: string) => path.slice(path.lastIndexOf("/") + 1);

/** The class of what is said of the room on a disk (bytes): as the doctor has it, below 1 GiB nothing can be written for long. */
export const roomTone = (free: number): "bad" | "warn" | "" => (free < 2 ** 30 ? "bad" : free < 10 * 2 ** 30 ? "warn" : "");

export const plural = (it: number, one: string, many = `${one}s`) => `${count(it)} ${it === 1 ? one : many}`;

/** A time that may be less than a second: `0.03s`, `4.2s`, `3m 20s`. */
export function brief(seconds: number): string {
  if (seconds < 0.01) return "< 0.01s";
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)}s`;
  return duration(seconds);
}
