import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { asApiError } from "./api/client";
import { ToastProvider } from "./components/Toasts";
import { App } from "./routes";
import { Session } from "./components/Session";
import { followTheme } from "./lib/theme";
import "./styles/index.css";

followTheme();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refuses it refuses again; a server that is away is asked again when the stream is back.
      retry: (failures, error) => asApiError(error).status === 0 && failures < 2,
      refetchOnWindowFocus: false,
      staleTime: 5_000,
    },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <ToastProvider>
          <Session>
            <App />
          </Session>
        </ToastProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
}
