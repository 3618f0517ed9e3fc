/** The key in what somebody pasted: the link that `dpgui ui --link` prints, or the key by itself. */
export function tokenIn(text: string): string {
  const it = text.trim();
  return /#(?:.*&)?t=([^&\s]+)/.exec(it)?.[1] ?? it;
}
