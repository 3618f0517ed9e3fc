// The few pictures that the page has, drawn on a grid of 16.
const PATHS = {
  overview: "M2 8.5 8 3l6 5.5M4 7.5V13h8V7.5",
  runs: "M2 12.5 6 7l3 3 5-7M2 14.5h12",
  queue: "M3 4h10M3 8h10M3 12h6",
  configs: "M4 2h5.5L12.5 5v9H4zM6.5 8h4M6.5 11h4",
  data: "M2.5 3.5h11v9h-11zM2.5 10.5l3-3 2.5 2.5 2-2 3.5 3.5",
  settings: "M3 5h6M12 5h1M3 11h1M7 11h6M10.5 3.5v3M5.5 9.5v3",
  plus: "M8 3v10M3 8h10",
  folder: "M2 4h4.5L8 5.5h6V13H2z",
  file: "M4 2h5.5L12.5 5v9H4z",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5h8v8h-8zM3 10.5V2.5h8",
  download: "M8 2.5v8M4.5 7.5 8 11l3.5-3.5M3 13.5h10",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9M10.5 10.5 14 14",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  check: "M3 8.5 6.5 12 13 4.5",
  warning: "M8 2.5 14.5 13.5h-13zM8 6.5v3.5M8 11.8v.1",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round"
      strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#10151b" stroke="#37434f" />
      <path d="M6 9c5 0 6 14 11 14s4-7 9-7" fill="none" stroke="#41d6a4" strokeWidth="3" strokeLinecap="round" />
      <circle cx="6.5" cy="9" r="2.5" fill="#41d6a4" />
    </svg>
  );
}
