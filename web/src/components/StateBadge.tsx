import { tone } from "../lib/runs";

export function StateBadge({ run }: { run: { state: string; live: boolean; queued?: boolean } }) {
  const moves = run.live && !run.queued;
  return <span className={`badge tone-${tone(run)} ${moves ? "live" : ""}`}>{run.state}</span>;
}
