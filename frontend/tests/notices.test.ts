import { expect, test } from "vitest";
import { binds } from "../src/site/notices";

test("a warning is about its project, or about every project of its team", () => {
  expect(binds("acme/", "acme/inference")).toBe(true);
  expect(binds("acme/inference", "acme/inference")).toBe(true);
  expect(binds("acme/inference", "acme/inference-2")).toBe(false);
  expect(binds("acme/", "acme-two/inference")).toBe(false);
});
