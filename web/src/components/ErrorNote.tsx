// An error as the terminal shows it: what failed, why, and one thing to do.
import { asApiError } from "../api/client";
import type { ApiErrorBody } from "../api/types";
import { Advice } from "./Advice";
import { Prose } from "./Prose";

export function ErrorNote({ error, retry }: { error: unknown; retry?: () => void }) {
  const { kind, message, causes, hint } = isPlain(error) ? error : asApiError(error);
  // That is said once, above every page.
  if (kind === "no-workspace") return null;
  return (
    <div className="note tone-bad" role="alert">
      <p><strong className="bad">error:</strong> <Prose text={message} /></p>
      {causes.length > 0 && (
        <ul className="causes">
          {causes.map((cause, index) => <li key={index}><Prose text={cause} /></li>)}
        </ul>
      )}
      {hint && <p><span className="muted">hint:</span> <Advice text={hint} /></p>}
      {retry && <div><button className="button small" onClick={retry}>Try again</button></div>}
    </div>
  );
}

const isPlain = (it: unknown): it is ApiErrorBody =>
  !(it instanceof Error) && typeof it === "object" && it !== null && "causes" in it && "message" in it;
