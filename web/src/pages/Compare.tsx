import { Page } from "../components/Page";

export function Compare() {
  return <Page title="Compare"><p /></Page>;
}
