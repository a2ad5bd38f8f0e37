import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const source = (path: string) => new URL(`frontend/src/${path}`, import.meta.url).pathname;

/** KaTeX names each font in three formats, of which our browsers take the first. */
const oneFontFormat: Plugin = {
  name: "one-font-format",
  enforce: "pre",
  transform(code, id) {
    if (!id.endsWith("katex.min.css")) return null;
    return code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]+"\)/g, "");
  },
};

/** The pages' own files get a name with their hash, as everything has that is built, and may be kept for a year. */
const hashedStatics: Plugin = {
  name: "hashed-statics",
  apply: "build",
  generateBundle() {
    for (const name of ["favicon.svg", "icons.svg", "theme.js"]) {
      const file = new URL(`static/${name}`, import.meta.url);
      this.emitFile({ type: "asset", name, originalFileName: `static/${name}`, source: readFileSync(file) });
    }
  },
};

/** Writes what can be made smaller beside each file, so that nobody compresses while a person waits. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  closeBundle() {
    const folder = new URL("static/build/assets/", import.meta.url);
    for (const name of readdirSync(folder).filter((each) => /\.(js|css|svg)$/.test(each))) {
      const content = readFileSync(new URL(name, folder));
      const brotli = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } });
      writeFileSync(new URL(`${name}.br`, folder), brotli);
      writeFileSync(new URL(`${name}.gz`, folder), gzipSync(content, { level: 9 }));
    }
  },
};

export default defineConfig({
  plugins: [svelte(), oneFontFormat, hashedStatics, compressed],
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
