import { Page } from "../components/Page";

export function Configs() {
  return <Page title="Configs"><p /></Page>;
}
