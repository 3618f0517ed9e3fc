/** An SVG path on a field of 100 by 30: evenly spaced, the newest at the right; what is not known is at the ground. */
export function sparkline(values: (number | null)[], max: number): string {
  const top = max > 0 ? max : 1;
  const step = values.length > 1 ? 100 / (values.length - 1) : 0;
  const round = (it: number) => Math.round(it * 100) / 100;
  const points = values.map((it, index) => `${round(index * step)},${round(30 - 29 * Math.min(1, Math.max(0, (it ?? 0) / top)))}`);
  return points.length === 0 ? "M0,30" : `M${points.join("L")}`;
}
