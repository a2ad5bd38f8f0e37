import { describe, expect, test } from "vitest";
import { RunText } from "../src/chat/stream";

const pieces = (...words: string[]) => words.map((content) => ({ content }));

describe("the text of a run", () => {
  test("grows by chunks in order, reasoning apart", () => {
    const text = new RunText();
    expect(text.accept(1, [{ reasoning: "Hm." }, { content: "Hel" }])).toBe("grown");
    expect(text.accept(3, pieces("lo"))).toBe("grown");
    expect([text.content, text.reasoning, text.last]).toEqual(["Hello", "Hm.", 3]);
  });

  test("takes a chunk that comes twice only once", () => {
    const text = new RunText();
    text.accept(1, pieces("a", "b"));
    expect(text.accept(1, pieces("a", "b"))).toBe("known");
    expect(text.accept(2, pieces("b", "c"))).toBe("grown");
    expect(text.content).toBe("abc");
  });

  test("asks again for a hole instead of showing it", () => {
    const text = new RunText();
    text.accept(1, pieces("a"));
    expect(text.accept(3, pieces("c"))).toBe("gap");
    expect([text.content, text.last]).toEqual(["a", 1]);
    expect(text.accept(2, pieces("b", "c"))).toBe("grown");
    expect(text.content).toBe("abc");
  });

  test("is the same whatever batches it comes in, and however often the connection breaks", () => {
    const all = [..."a stream of many small pieces"];
    for (let seed = 1; seed <= 200; seed += 1) {
      const text = new RunText();
      let random = seed;
      const next = (below: number) => (random = (random * 16807) % 2147483647) % below;
      while (text.last < all.length) {
        const from = 1 + next(text.last + 2);
        text.accept(from, pieces(...all.slice(from - 1, from - 1 + next(6))));
      }
      expect(text.content).toBe(all.join(""));
    }
  });

  test("counts a chunk that adds nothing", () => {
    const text = new RunText();
    expect(text.accept(1, [{}])).toBe("grown");
    expect(text.last).toBe(1);
  });
});
