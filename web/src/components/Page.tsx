// The frame of every page: a title for the window, one heading, what can be done.
import { useEffect, type ReactNode } from "react";
import { Link } from "wouter";

export function useTitle(title: string) {
  useEffect(() => {
    document.title = title === "" ? "dpgui" : `${title} · dpgui`;
  }, [title]);
}

type Props = {
  title: string;
  heading?: ReactNode;
  lead?: ReactNode;
  up?: { href: string; text: string };
  actions?: ReactNode;
  children: ReactNode;
};

export function Page({ title, heading, lead, up, actions, children }: Props) {
  useTitle(title);
  return (
    <div className="page">
      <div className="head">
        <div>
          {up && <Link className="crumb" href={up.href}>← {up.text}</Link>}
          <h1 tabIndex={-1}>{heading ?? title}</h1>
          {lead && <div className="lead">{lead}</div>}
        </div>
        {actions && <div className="row">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
