import { useQuery } from "@tanstack/react-query";
import { jobs } from "../../api/queries";
import { JobCard } from "../../components/JobCard";

/** Commands that the page has started, as far as other parts of this page do not show them. */
const ELSEWHERE = ["setup-plan", "setup"];
const MOST = 5;

export function Activity() {
  const { data } = useQuery(jobs);
  const shown = data?.filter((it) => !ELSEWHERE.includes(it.kind) && (it.kind !== "doctor" || it.state === "running")).slice(0, MOST) ?? [];
  if (shown.length === 0) return null;
  return (
    <section className="stack tight" aria-label="Commands">
      <h2>Commands</h2>
      {shown.map((it) => <JobCard key={it.id} job={it} />)}
    </section>
  );
}
