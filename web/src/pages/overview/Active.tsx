import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { queue, runs } from "../../api/queries";
import type { RunRow } from "../../api/types";
import { Meter } from "../../components/Meter";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { StateBadge } from "../../components/StateBadge";
import { Waits } from "../../components/Waits";
import { Wrong } from "../../components/Wrong";
import { duration, figure, moment, pace } from "../../lib/format";
import { links } from "../../lib/links";
import { endedLast, progress, tone } from "../../lib/runs";

/** Who trains now and who is next; while nobody trains, how the last ones ended. */
export function Active() {
  const all = useQuery(runs).data ?? [];
  const live = all.filter((it) => it.live);
  return (
    <>
      {live.length > 0 && <Now live={live} />}
      {live.every((it) => it.queued) && <Ended rows={all} />}
    </>
  );
}

function Now({ live }: { live: RunRow[] }) {
  const waiting = useQuery(queue).data?.entries ?? [];
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

function Ended({ rows }: { rows: RunRow[] }) {
  const last = endedLast(rows);
  if (last.length === 0) return null;
  return (
    <Panel title="Ended last" actions={<Link className="small" href={links.runs}>All runs</Link>} flush>
      <ul className="list">
        {last.map(({ run, ended }) => (
          <li key={run.id} className="active-run">
            <div className="row">
              <Link href={links.run(run.id)}><strong>{run.name}</strong></Link>
              <StateBadge run={run} />
              <span className="small">
                {moment(new Date(ended).toISOString())}, after {duration(run.seconds)}
                {run.step !== null && <span className="muted"> · step {run.step}{run.total_steps !== null && ` / ${run.total_steps}`} · loss {figure(run.loss)}</span>}
              </span>
            </div>
            {(run.diagnosis ?? run.sentence) !== null && <p className="small muted wrap"><Prose text={run.diagnosis ?? `The training ${run.sentence}.`} /></p>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
