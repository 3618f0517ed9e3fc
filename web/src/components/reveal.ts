/** Brings one of a row that is wider than its place into sight. The browser's own `scrollIntoView` scrolls the page as well. */
export function reveal(row: HTMLElement | null, one: Element | null | undefined, where: "nearest" | "centre") {
  if (!row || !one) return;
  const [place, it] = [row.getBoundingClientRect(), one.getBoundingClientRect()];
  if (where === "centre") row.scrollLeft += (it.left + it.right - place.left - place.right) / 2;
  else row.scrollLeft += Math.min(0, it.left - place.left) + Math.max(0, it.right - place.right);
}
