// The choice of colours; `public/theme.js` applies it before the first paint.
export type Theme = "system" | "dark" | "light";

const KEY = "dpgui.theme";

export function theme(): Theme {
  const it = localStorage.getItem(KEY);
  return it === "dark" || it === "light" ? it : "system";
}

export function setTheme(it: Theme) {
  if (it === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, it);
  apply();
}

/** Brings the choice, of this tab or another one, to what is shown. */
function apply() {
  const it = theme();
  if (it === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = it;
  // Canvases read their colours once.
  window.dispatchEvent(new Event("dpgui-theme"));
}

/** Follows what other tabs choose. */
export function followTheme() {
  window.addEventListener("storage", ({ key }) => {
    // `null`: all of it was cleared.
    if (key === KEY || key === null) apply();
  });
}

/** Calls back when the colours change, by the choice here or by the system. */
export function onTheme(then: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: light)");
  window.addEventListener("dpgui-theme", then);
  system.addEventListener("change", then);
  return () => {
    window.removeEventListener("dpgui-theme", then);
    system.removeEventListener("change", then);
  };
}

/** The colour that a custom property stands for now, as a canvas understands it. */
export function colour(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const it = getComputedStyle(probe).color;
  probe.remove();
  return it;
}
