import { Page } from "../components/Page";

export function Queue() {
  return <Page title="Queue"><p /></Page>;
}
