import type { Tone } from "../lib/runs";

/** A bar; `null`: something goes on, nobody knows how far. */
export function Meter({ value, label, tone }: { value: number | null; label: string; tone?: Tone }) {
  const known = value === null ? {} : { "aria-valuenow": Math.round(value) };
  return (
    <div className={`meter ${tone ? `tone-${tone}` : ""} ${value === null ? "unknown" : ""}`} role="progressbar" aria-label={label}
      aria-valuemin={0} aria-valuemax={100} {...known}>
      <i style={value === null ? undefined : { width: `${value}%` }} />
    </div>
  );
}
