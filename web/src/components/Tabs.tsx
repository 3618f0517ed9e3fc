import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { reveal } from "./reveal";
import { useParam } from "./useParam";

export type Tab = { id: string; title: ReactNode };

type Props = { tabs: Tab[]; label: string; name?: string; children: (id: string) => ReactNode };

/** Tabs whose choice is in the address; arrow keys move between them. */
export function Tabs({ tabs, label, name = "tab", children }: Props) {
  const [wanted, setChosen] = useParam(name);
  const list = useRef<HTMLDivElement>(null);
  const first = tabs[0]?.id ?? "";
  const chosen = tabs.some((tab) => tab.id === wanted) ? wanted : first;

  useEffect(() => {
    reveal(list.current, list.current?.querySelector(`[data-tab="${chosen}"]`), "nearest");
  }, [chosen]);

  const choose = (id: string) => setChosen(id === first ? "" : id);
  const onKey = (event: KeyboardEvent) => {
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next = to === undefined ? undefined : tabs[(to + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    choose(next.id);
    list.current?.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  };

  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={onKey}>
        {tabs.map((tab) => (
          <button key={tab.id} role="tab" id={`${name}-${tab.id}`} data-tab={tab.id} aria-selected={tab.id === chosen}
            aria-controls={`${name}-panel`} tabIndex={tab.id === chosen ? 0 : -1} onClick={() => choose(tab.id)}>
            {tab.title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${name}-panel`} aria-labelledby={`${name}-${chosen}`}>{children(chosen)}</div>
    </>
  );
}
