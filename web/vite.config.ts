/// <reference types="vitest/config" />
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `dpgui ui --dev` gives the address of its API.
const api = process.env.DPGUI_API ?? "http://127.0.0.1:5174";

export default defineConfig({
  plugins: [react()],
  build: { outDir: "dist", assetsDir: "assets", target: "es2022", sourcemap: false },
  server: {
    host: "127.0.0.1",
    port: 5173,
    strictPort: true,
    proxy: { "/api": { target: api, ws: true } },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
