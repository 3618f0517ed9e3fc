import type { RunDetail } from "../../api/types";
import { Advice } from "../../components/Advice";
import { Panel } from "../../components/Panel";
import { Prose } from "../../components/Prose";
import { Code } from "../../components/Scroll";

export function Diagnosis({ run }: { run: RunDetail }) {
  const it = run.full_diagnosis;
  if (!it) {
    return (
      <p className="empty">
        {run.live ? "Why a run ended is found out when it has ended." : "There is nothing to explain: no known cause of failure was found."}
      </p>
    );
  }
  return (
    <div className="stack">
      <Panel title={<Prose text={it.cause} />}>
        <h3>What to do</h3>
        {it.advice.length === 0 ? <p className="muted">No advice is known for this cause.</p> : (
          <ol className="steps">{it.advice.map((text, index) => <li key={index}><Advice text={text} /></li>)}</ol>
        )}
        <h3>What shows it</h3>
        <Code label="What shows it">{it.evidence.join("\n")}</Code>
      </Panel>
    </div>
  );
}
