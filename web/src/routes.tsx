// The table of pages. Each is loaded when it is first visited.
import { lazy, Suspense, type ComponentType } from "react";
import { Route, Switch, useLocation } from "wouter";
import { Boundary } from "./components/Boundary";
import { Layout } from "./components/Layout";
import { NotFound } from "./pages/NotFound";
import { Overview } from "./pages/Overview";

function later<Name extends string>(load: () => Promise<Record<Name, ComponentType>>, name: Name) {
  return lazy(async () => ({ default: (await load())[name] }));
}

const table: [path: string, page: ComponentType][] = [
  ["/", Overview],
  ["/runs", later(() => import("./pages/Runs"), "Runs")],
  ["/runs/compare", later(() => import("./pages/Compare"), "Compare")],
  ["/runs/:id", later(() => import("./pages/Run"), "Run")],
  ["/queue", later(() => import("./pages/Queue"), "Queue")],
  ["/new", later(() => import("./pages/New"), "New")],
  ["/configs", later(() => import("./pages/Configs"), "Configs")],
  ["/configs/:name", later(() => import("./pages/Config"), "Config")],
  ["/data", later(() => import("./pages/Data"), "Data")],
  ["/settings", later(() => import("./pages/Settings"), "Settings")],
];

export function App() {
  const [path] = useLocation();
  return (
    <Layout>
      <Boundary key={path}>
        <Suspense fallback={<p className="empty" role="status">Loading…</p>}>
          <Switch>
            {table.map(([path, page]) => (
              <Route key={path} path={path} component={page} />
            ))}
            <Route component={NotFound} />
          </Switch>
        </Suspense>
      </Boundary>
    </Layout>
  );
}
