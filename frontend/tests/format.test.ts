import { expect, test } from "vitest";
import { ageOf, dollars, duration, moment, tokenCount } from "../src/format";

test("money is cut, never rounded up, and what a small answer cost does not look like a cent", () => {
  expect(dollars("12480000000")).toBe("$12.48");
  expect(dollars("9999998760")).toBe("$9.999998");
  expect(dollars("-9999998760")).toBe("−$9.999998");
  expect(dollars("1234567000000000")).toBe("$1,234,567.00");
  expect(dollars("56000")).toBe("$0.000056");
  expect(dollars("420000000")).toBe("$0.42");
  expect(dollars("0")).toBe("$0.00");
  expect(dollars("9007199254740993000000000")).toBe("$9,007,199,254,740,993.00");
});

test("context lengths read as people say them", () => {
  expect([131072, 200000, 1048576, 8192, 4096, 1500, 32000].map(tokenCount)).toEqual(["128K", "200K", "1M", "8K", "4K", "1,500", "32K"]);
});

test("times below a second are in milliseconds", () => {
  expect([duration(312), duration(2400)]).toEqual(["312 ms", "2.4 s"]);
});

test("a moment is told in UTC, midnight as 00:00", () => {
  expect(moment("2026-08-01T00:00:00+00:00")).toBe("August 1, 2026 at 00:00 UTC");
});

test("the history is divided by days, not by hours", () => {
  const now = new Date(2025, 5, 15, 0, 30);
  const at = (day: number, hour: number) => ageOf(new Date(2025, 5, day, hour).toISOString(), now);
  expect([at(15, 0), at(14, 23), at(13, 23), at(9, 1), at(8, 23), at(1, 1)]).toEqual(["today", "yesterday", "thisWeek", "thisWeek", "older", "older"]);
});
