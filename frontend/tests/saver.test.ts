import { beforeEach, expect, test, vi } from "vitest";
import { Saver } from "../src/chat/saver";
import type { Changes } from "../src/chat/types";

beforeEach(() => void vi.useFakeTimers());

test("several quick changes become one save", async () => {
  const saved: Changes[] = [];
  const saver = new Saver(async (changes) => saved.push(changes));
  saver.change({ draft: "a" });
  saver.change({ draft: "ab" });
  saver.change({ model: "m" });
  await vi.advanceTimersByTimeAsync(600);
  expect(saved).toEqual([{ draft: "ab", model: "m" }]);
  expect(saver.isDue).toBe(false);
});

test("a change that could not be saved goes with the next one, and a newer value wins", async () => {
  const saved: Changes[] = [];
  const failures: boolean[] = [];
  let isBroken = true;
  const saver = new Saver(
    async (changes) => {
      if (isBroken) throw new Error("offline");
      saved.push(changes);
    },
    (failed) => failures.push(failed),
  );
  saver.change({ draft: "old", title: "kept" });
  await saver.flush();
  isBroken = false;
  saver.change({ draft: "new" });
  await saver.flush();
  expect(saved).toEqual([{ draft: "new", title: "kept" }]);
  expect(failures).toEqual([true, false]);
});

test("saves never overtake each other", async () => {
  const order: string[] = [];
  const saver = new Saver(async ({ draft }) => {
    order.push(`begin ${draft}`);
    await new Promise((resolve) => setTimeout(resolve, draft === "slow" ? 1000 : 1));
    order.push(`end ${draft}`);
  });
  saver.change({ draft: "slow" });
  const first = saver.flush();
  await vi.advanceTimersByTimeAsync(10);
  saver.change({ draft: "quick" });
  const second = saver.flush();
  await vi.advanceTimersByTimeAsync(1100);
  await Promise.all([first, second]);
  expect(order).toEqual(["begin slow", "end slow", "begin quick", "end quick"]);
});

test("a dropped change is not saved, and a held one waits for another", async () => {
  const saved: Changes[] = [];
  const saver = new Saver(async (changes) => saved.push(changes));
  saver.change({ draft: "gone" });
  saver.drop("draft");
  saver.hold({ system_prompt: "be brief" });
  await vi.advanceTimersByTimeAsync(400);
  expect(saved).toEqual([]);
  saver.change({ model: "m" });
  await vi.advanceTimersByTimeAsync(600);
  expect(saved).toEqual([{ system_prompt: "be brief", model: "m" }]);
});
