import { expect, test } from "vitest";
import { bounded, numberParameters, shareOf, valueAt, withParameter } from "../src/chat/parameters";

const [temperature, , maxTokens] = numberParameters(131072) as [never, never, never];

test("a parameter at its default is not sent", () => {
  expect(withParameter({ temperature: 0.2, seed: 1 }, { temperature: 1 }, "temperature", 1)).toEqual({ seed: 1 });
  expect(withParameter({}, { temperature: 1 }, "temperature", 0.2)).toEqual({ temperature: 0.2 });
  expect(withParameter({ seed: 1 }, {}, "seed", undefined)).toEqual({});
});

test("what is typed is brought into bounds, and nonsense is no value", () => {
  expect(["3", "-1", "0.7", "", "x"].map((text) => bounded(text, temperature))).toEqual([2, 0, 0.7, undefined, undefined]);
  expect(bounded("12.6", maxTokens)).toBe(13);
});

test("the slider's places and the values agree", () => {
  for (const value of [0, 0.3, 0.7, 1, 1.95, 2]) expect(valueAt(shareOf(value, temperature), temperature)).toBe(value);
  for (const value of [1, 100, 4096, 131072]) expect(valueAt(shareOf(value, maxTokens), maxTokens)).toBe(value);
});
