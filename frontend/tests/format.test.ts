import { expect, test } from "vitest";
import { ageOf, dollars, duration, exactDollars, moment, nanoOf, tokenCount } from "../src/format";

test("money is cut, never rounded up, and what a small answer cost does not look like a cent", () => {
  expect(dollars("12480000000")).toBe("$12.48");
  expect(dollars("109987654321")).toBe("$109.98");
  expect(dollars("-9999998760")).toBe("−$9.99");
  expect(dollars("999999999")).toBe("$0.999");
  expect(dollars("12345")).toBe("$0.0000123");
  expect(dollars("1234567000000000")).toBe("$1,234,567.00");
  expect(dollars("56000")).toBe("$0.000056");
  expect(dollars("420000000")).toBe("$0.42");
  expect(dollars("0")).toBe("$0.00");
  expect(dollars("9007199254740993000000000")).toBe("$9,007,199,254,740,993.00");
});

test("the exact amount has all of its digits", () => {
  expect(["9999998760", "-7", "1000000000", "12345"].map(exactDollars)).toEqual(["$9.99999876", "−$0.000000007", "$1.00", "$0.000012345"]);
  expect(["0.00001234", "12.50", "3"].map(nanoOf)).toEqual(["12340", "12500000000", "3000000000"]);
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
