import { Component, type ReactNode } from "react";
import { ErrorNote } from "./ErrorNote";

type State = { error: Error | null };

/** A mistake of the page's own breaks one view, and says so, instead of leaving nothing. */
export class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    // After an update the parts that this page would load are not there any more.
    const outdated = /dynamically imported module|module script/i.test(error.message);
    const body = outdated
      ? { kind: "page", message: "this page is older than the server", causes: [error.message], hint: "load it again" }
      : { kind: "page", message: "this view of the page has failed", causes: [error.message], hint: "load it again; everything that it shows is in the terminal as well" };
    return (
      <div className="stack">
        <ErrorNote error={body} />
        <div><button className="button" onClick={() => location.reload()}>Load again</button></div>
      </div>
    );
  }
}
