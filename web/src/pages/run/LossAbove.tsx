import { useQuery } from "@tanstack/react-query";
import { metrics } from "../../api/queries";
import type { RunDetail } from "../../api/types";
import { ErrorNote } from "../../components/ErrorNote";
import { LossChart } from "./LossChart";

/** The loss above the log, for those who want to see both. */
export function LossAbove({ run }: { run: RunDetail }) {
  const { data, error } = useQuery(metrics(run.id, run.live && !run.queued));
  if (error) return <ErrorNote error={error} />;
  return data ? <LossChart data={data} height={170} /> : <p className="empty" role="status">Loading…</p>;
}
