import { Icon } from "./Icon";

/** What is wrong with a run while it goes on, in few words; its page says more. */
export const Wrong = ({ text }: { text: string }) => <span className="badge plain tone-warn"><Icon name="warning" /> {text}</span>;
