// The choice of colours; `public/theme.js` applies it before the first paint.
export type Theme = "system" | "dark" | "light";

const KEY = "dpgui.theme";

export function theme(): Theme {
  const it = localStorage.getItem(KEY);
  return it === "dark" || it === "light" ? it : "system";
}

export function setTheme(it: Theme) {
  if (it === "system") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, it);
    document.documentElement.dataset.theme = it;
  }
  // Canvases read their colours once.
  window.dispatchEvent(new Event("dpgui-theme"));
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
