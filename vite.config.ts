import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const source = (path: string) => new URL(`frontend/src/${path}`, import.meta.url).pathname;

export default defineConfig({
  plugins: [svelte()],
  // Relative addresses: the built files work under whatever STATIC_URL Django serves them from.
  base: "./",
  build: {
    outDir: "static/build",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: ["chrome123", "firefox121", "safari17.5"],
    // All our browsers preload modules by themselves; data: addresses would need a wider Content-Security-Policy.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      input: {
        site: source("entries/site.ts"),
        catalogue: source("entries/catalogue.ts"),
        playground: source("entries/playground.ts"),
      },
    },
  },
  test: {
    environment: "happy-dom",
    include: ["frontend/tests/**/*.test.ts"],
  },
});
