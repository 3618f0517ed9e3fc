import { Component, type ReactNode } from "react";
import { api, asApiError } from "../api/client";
import { ErrorNote } from "./ErrorNote";

/** Whether nobody answers; `null`: not known yet. */
type State = { error: Error | null; isAway: boolean | null };

/** A part of the page could not be loaded. */
const isMissing = (it: Error) => /dynamically imported module|module script|preload CSS/i.test(it.message);

const BROKEN = { kind: "page", message: "this view of the page has failed", hint: "load it again; everything that it shows is in the terminal as well" };
const AWAY = { kind: "network", message: "no connection to dpgui: this view could not be loaded", hint: "load it again when dpgui is back; trainings go on regardless" };
// After an update the parts that this page would load are not there any more.
const OUTDATED = { kind: "page", message: "this page is older than the server", hint: "load it again" };

/** A mistake of the page's own breaks one view, and says so, instead of leaving nothing. */
export class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null, isAway: null };

  static getDerivedStateFromError(error: Error): State {
    return { error, isAway: null };
  }

  override componentDidCatch(error: Error) {
    if (!isMissing(error)) return;
    const answered = api.session().then(() => false, (failure: unknown) => asApiError(failure).status === 0);
    void answered.then((isAway) => this.setState({ isAway }));
  }

  override render() {
    const { error, isAway } = this.state;
    if (!error) return this.props.children;
    if (isMissing(error) && isAway === null) return <p className="empty" role="status">Loading…</p>;
    const body = !isMissing(error) ? BROKEN : isAway ? AWAY : OUTDATED;
    return (
      <div className="stack">
        <ErrorNote error={{ ...body, causes: [error.message] }} />
        <div><button className="button" onClick={() => location.reload()}>Load again</button></div>
      </div>
    );
  }
}
