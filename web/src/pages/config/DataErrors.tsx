import { Link } from "wouter";
import { Advice } from "../../components/Advice";
import { JobsOf } from "../../components/JobsOf";
import { Prose } from "../../components/Prose";
import { count } from "../../lib/format";
import { links } from "../../lib/links";
import type { Steps } from "./useSteps";

/** As many as one reads here; all of them are among the data. */
const MOST = 5;

/** The count of steps while it is at work, and what was wrong with the data if it failed. */
export function DataErrors({ config, steps: { errors } }: { config: string; steps: Steps }) {
  return (
    <JobsOf kind="data-check" subject={config} only="at work or failed">
      {errors.length > 0 && (
        <>
          <ul className="list findings" aria-label="What is wrong with the data">
            {errors.slice(0, MOST).map((it, index) => (
              <li key={index} className="finding">
                <span className="badge plain tone-bad">error</span>
                <div className="grow small">
                  <p className="wrap"><Prose text={it.message} /></p>
                  {it.fix && <p className="muted wrap"><Advice text={it.fix} /></p>}
                </div>
              </li>
            ))}
          </ul>
          <p className="small">{errors.length > MOST && `${count(errors.length - MOST)} more. `}<Link href={links.data(config)}>See the files</Link></p>
        </>
      )}
    </JobsOf>
  );
}
