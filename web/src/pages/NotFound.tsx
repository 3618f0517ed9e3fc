import { Link } from "wouter";
import { Page } from "../components/Page";
import { links } from "../lib/links";

export function NotFound() {
  return (
    <Page title="Not found">
      <div className="empty"><p>There is no such page.</p><Link className="button" href={links.overview}>Overview</Link></div>
    </Page>
  );
}
