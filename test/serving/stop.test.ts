import { expect, test } from "vitest";
import { createStopFinder } from "../../src/serving/stop.ts";

/** What should come out, worked out one code unit at a time over the whole text. */
function cut(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const lengths = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length);
    if (lengths.length > 0) return text.slice(0, end - Math.max(...lengths));
  }
  return text;
}

function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("gives the same text however it is cut into pieces, and never a part of a stop string", () => {
  let found = 0;
  for (let seed = 1; seed <= 2000; seed++) {
    const next = numbers(seed);
    const letters = ["a", "b", "ab", "👍", "\n"];
    const word = (length: number) => Array.from({ length }, () => letters[next(seed % 3 ? 2 : 5)]).join("");
    const stops = Array.from({ length: next(5) }, () => word(1 + next(5)));
    const text = word(next(40));
    const finder = createStopFinder(stops);
    let out = "";
    const characters = [...text];
    while (characters.length > 0 && !finder.found) {
      out += finder.push(characters.splice(0, 1 + next(4)).join(""));
      expect(cut(text, stops).startsWith(out)).toBe(true);
      expect(out.isWellFormed()).toBe(true);
    }
    out += finder.end();
    expect(out, JSON.stringify({ text, stops })).toBe(cut(text, stops));
    expect(finder.found).toBe(stops.some((stop) => text.includes(stop)));
    if (finder.found) found++;
  }
  expect(found).toBeGreaterThan(200);
});

test("holds back no more than could begin a stop string", () => {
  const finder = createStopFinder(["STOP"]);
  expect(finder.push("go ST")).toBe("go ");
  expect(finder.push("S")).toBe("ST");
  expect(finder.push("TO")).toBe("");
  expect(finder.push("x")).toBe("STOx");
});

test("takes the longer of two stop strings that end at the same place", () => {
  const finder = createStopFinder(["b", "ab"]);
  expect(finder.push("xab")).toBe("x");
  expect(finder.found).toBe(true);
});

test("stays linear with a long stop string that keeps almost matching", () => {
  const finder = createStopFinder([`${"a".repeat(200_000)}b`]);
  const started = performance.now();
  for (let i = 0; i < 1000; i++) finder.push("a".repeat(190));
  expect(performance.now() - started).toBeLessThan(2000);
  expect(finder.end().length).toBe(190_000);
});
