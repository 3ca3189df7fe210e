import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/static/",
  plugins: [svelte(), svelteTesting()],
  build: {
    outDir: "dist",
    manifest: "manifest.json",
    // The page's content policy has no `unsafe-inline`: nothing may be turned into a data: script or inlined style.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: {
        chat: "src/chat/main.ts",
        inbox: "src/inbox/main.ts",
        figures: "src/dashboard/figures.ts",
        training: "src/dashboard/training.ts",
        widget: "src/widget/main.ts",
      },
      output: {
        // Other sites' pages name the loader, so its name must stay.
        entryFileNames: ({ name }) => (name === "widget" ? "widget.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: {
    // django-vite points the page at this origin in development.
    origin: "http://localhost:5173",
    cors: { origin: /^http:\/\/(localhost|127\.0\.0\.1)(:\d+)?$/ },
  },
  test: {
    environment: "jsdom",
    include: ["tests/**/*.test.ts"],
    setupFiles: ["tests/setup.ts"],
    restoreMocks: true,
    // Properties run a hundred cases each, on machines that may be busy with models.
    testTimeout: 30_000,
  },
});
