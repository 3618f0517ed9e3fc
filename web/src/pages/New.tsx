import { Page } from "../components/Page";

export function New() {
  return <Page title="New"><p /></Page>;
}
