import { afterEach, expect, test, vi } from "vitest";
import { binds, redrawNotices, showNoticesOf } from "../src/site/notices";

const warning = (kind: string, place: string) =>
  `<div class="notice ${kind}" data-notice="${place}" data-credits-of="${place}"><button data-put-away></button></div>`;
const shown = () => [...document.querySelectorAll<HTMLElement>("[data-notice]:not([hidden])")].map(({ dataset }) => dataset.notice);

afterEach(() => vi.unstubAllGlobals());

test("a warning is about its project, or about every project of its team", () => {
  expect(binds("acme/", "acme/inference")).toBe(true);
  expect(binds("acme/inference", "acme/inference")).toBe(true);
  expect(binds("acme/inference", "acme/inference-2")).toBe(false);
  expect(binds("acme/", "acme-two/inference")).toBe(false);
});

test("warnings are drawn anew; one that was put away stays away, and one of another project is hidden", async () => {
  document.body.innerHTML = '<div data-notices></div>';
  let drawn = warning("notice-warning", "acme/a") + warning("notice-error", "acme/b");
  vi.stubGlobal("fetch", async () => new Response(drawn));
  expect(await redrawNotices("acme/a")).toBe(true);
  expect([showNoticesOf("acme/b"), shown()]).toEqual([true, ["acme/b"]]);
  expect([showNoticesOf("acme/a"), shown()]).toEqual([false, ["acme/a"]]);
  expect(await redrawNotices("acme/a")).toBe(false);
  document.querySelector<HTMLElement>("[data-put-away]")?.click();
  drawn += warning("notice-warning", "acme/");
  expect(await redrawNotices("acme/a")).toBe(true);
  expect(document.querySelectorAll("[data-notice]")).toHaveLength(2);
});
