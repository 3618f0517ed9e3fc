import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { queue, runs } from "../../api/queries";
import { Meter } from "../../components/Meter";
import { Panel } from "../../components/Panel";
import { StateBadge } from "../../components/StateBadge";
import { Waits } from "../../components/Waits";
import { Wrong } from "../../components/Wrong";
import { duration, figure, pace } from "../../lib/format";
import { links } from "../../lib/links";
import { progress, tone } from "../../lib/runs";

/** Who trains now and who is next. */
export function Active() {
  const live = useQuery(runs).data?.filter((it) => it.live) ?? [];
  const waiting = useQuery(queue).data?.entries ?? [];
  if (live.length === 0) return null;
  return (
    <Panel title="Running and queued" actions={<Link className="small" href={links.runs}>All runs</Link>} flush>
      <ul className="list">
        {live.map((run) => {
          const part = progress(run);
          const waits = waiting.find((it) => it.run === run.id)?.waits_for;
          return (
            <li key={run.id} className="active-run">
              <div className="row">
                <Link href={links.run(run.id)}><strong>{run.name}</strong></Link>
                <StateBadge run={run} />
                {run.wrong && <Wrong text={run.wrong} />}
                <span className="small muted">{run.devices}</span>
                <span className="grow" />
                {!run.queued && (
                  <span className="small">
                    step {run.step ?? "–"}{run.total_steps !== null && ` / ${run.total_steps}`} · loss {figure(run.loss)} · {pace(run.pace)} · {duration(run.left_seconds)} left
                  </span>
                )}
                {run.queued && waits && <span className="small muted"><Waits text={waits} /></span>}
              </div>
              {part !== null && <Meter value={part} label={`Progress of ${run.name}`} tone={tone(run)} />}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
