/** Milliseconds before the next try: 0.25 s, doubled each time, at most 8 s; spread, so that 20 tabs do not come at once. */
export function delay(tries: number, random: () => number = Math.random): number {
  const most = Math.min(8000, 250 * 2 ** Math.min(tries, 10));
  return most * (0.5 + random() / 2);
}
