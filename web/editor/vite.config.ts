import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The build is committed, and is the same bytes wherever it is made: no source maps, no dates.
export default defineConfig({
  base: "./",
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: { outDir: "../dist", emptyOutDir: true, target: "es2023", sourcemap: false },
  server: { proxy: { "/api": { target: "http://127.0.0.1:8188", ws: true } } },
  test: { include: ["tests/**/*.test.{ts,tsx}"] },
});
