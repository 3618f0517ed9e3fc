import { Page } from "../components/Page";

export function Config() {
  return <Page title="Config"><p /></Page>;
}
