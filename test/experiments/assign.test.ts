import { describe, expect, it } from "vitest";
import { mulberry32 } from "../../evaluation/random.ts";
import { createUnitHash, expose, exposureKey } from "../../src/experiments/assign.ts";
import { armAt, type Layout, layoutOf, PLACES, sharesOf, type Weight } from "../../src/experiments/layout.ts";

const key = new TextEncoder().encode("0123456789abcdef");
const weights = (...values: number[]): Weight[] => values.map((weight, index) => ({ name: `arm-${index}`, weight }));

const placesOf = (layout: Layout, arm: string): number =>
  layout.reduce((sum, segment) => sum + (segment.arm === arm ? segment.to - segment.from : 0), 0);

/** Places whose arm differs. */
function moved(a: Layout, b: Layout): number {
  const edges = [...new Set([...a, ...b].flatMap(({ from, to }) => [from, to]))].sort((x, y) => x - y);
  return edges
    .slice(1)
    .reduce(
      (sum, to, index) => sum + (armAt(a, edges[index]!) === armAt(b, edges[index]!) ? 0 : to - edges[index]!),
      0,
    );
}

describe("layout", () => {
  it("covers the line without gaps, each arm with its weight, through a hundred random changes that move the least possible", () => {
    const random = mulberry32(21);
    let layout: Layout | undefined;
    for (let change = 0; change < 100; change++) {
      const parts: number[] = Array.from({ length: 2 + Math.floor(random() * 4) }, () =>
        random() < 0.2 ? 0 : random(),
      );
      if (!parts.some((part) => part > 0)) parts.push(1);
      const sum = parts.reduce((total, part) => total + part, 0);
      const wanted = weights(...parts.map((part) => part / sum));
      const next = layoutOf(wanted, layout);
      expect(next[0]!.from).toBe(0);
      expect(next.at(-1)!.to).toBe(PLACES);
      next.slice(1).forEach((segment, index) => {
        expect(segment.from).toBe(next[index]!.to);
      });
      for (const { name, weight } of wanted) expect(Math.abs(placesOf(next, name) - weight * PLACES)).toBeLessThan(1);
      if (layout) {
        const before = layout;
        const arms = new Set([...before, ...next].map(({ arm }) => arm));
        const least = [...arms].reduce((sum, arm) => sum + Math.max(0, placesOf(next, arm) - placesOf(before, arm)), 0);
        expect(moved(before, next)).toBe(least);
      }
      layout = next;
    }
  });

  it("moves nothing when weights stay, and everything an arm had when it goes", () => {
    const layout = layoutOf(weights(0.5, 0.3, 0.2));
    expect(layoutOf(weights(0.5, 0.3, 0.2), layout)).toEqual(layout);
    const without = layoutOf(weights(0.5, 0.5), layout);
    expect(moved(layout, without)).toBe(0.2 * PLACES);
  });

  it("gives thirds their due", () => {
    const layout = layoutOf(weights(1 / 3, 1 / 3, 1 / 3));
    expect(layout.map(({ from, to }) => to - from).sort()).toEqual([333_333, 333_333, 333_334]);
  });

  it("knows with what probability a unit that never moved is in each arm", () => {
    const even = layoutOf(weights(0.5, 0.5));
    const ramped = layoutOf(weights(0.9, 0.1), even);
    expect(Object.fromEntries(sharesOf([ramped]))).toEqual({ "arm-0": 0.9, "arm-1": 0.1 });
    const stayed = sharesOf([even, ramped]);
    expect(stayed.get("arm-0")).toBeCloseTo(5 / 6, 12);
    expect(stayed.get("arm-1")).toBeCloseTo(1 / 6, 12);
  });

  it("refuses weights that do not sum to 1, and places off the line", () => {
    expect(() => layoutOf(weights(0.5, 0.4))).toThrow("The weights sum to 0.9");
    expect(() => layoutOf(weights(1.5, -0.5))).toThrow("must be 0 or more");
    expect(() => armAt(layoutOf(weights(0.5, 0.5)), PLACES)).toThrow("no place 1000000");
  });
});

describe("assignment", () => {
  const layout = layoutOf(weights(0.5, 0.3, 0.2));

  it("is the same anywhere and after any restart: known answers", () => {
    const unit = createUnitHash({ key, experiment: "speed" })("user-1");
    expect(unit).toEqual(createUnitHash({ key: key.slice(), experiment: "speed" })("user-1"));
    expect(unit).toMatchInlineSnapshot(`
      {
        "draw": 0.8325070158613773,
        "id": "c68031166aa1cc9c44ed765102911731",
        "place": 75968,
      }
    `);
  });

  it("agrees with HMAC-SHA-256 of the platform", async () => {
    const sign = async (secret: BufferSource, text: string): Promise<Uint8Array> => {
      const imported = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      return new Uint8Array(await crypto.subtle.sign("HMAC", imported, new TextEncoder().encode(text)));
    };
    const digest = await sign(await sign(key, "experiment:speed"), "Ünit 1");
    const hex = Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(createUnitHash({ key, experiment: "speed" })("Ünit 1").id).toBe(hex);
  });

  it("puts 10,000 users into the arms within chance of the weights, and no two experiments alike", () => {
    const hash = createUnitHash({ key, experiment: "speed" });
    const other = createUnitHash({ key, experiment: "quality" });
    const cells = new Map<string, number>();
    let draws = 0;
    const users = 10_000;
    for (let user = 0; user < users; user++) {
      const [a, b] = [hash(`user-${user}`), other(`user-${user}`)];
      const cell = `${armAt(layout, a.place)} ${armAt(layout, b.place)}`;
      cells.set(cell, (cells.get(cell) ?? 0) + 1);
      draws += a.draw;
    }
    const shares = [0.5, 0.3, 0.2];
    const chiSquared = shares.flatMap((x, i) =>
      shares.map((y, j) => ((cells.get(`arm-${i} arm-${j}`) ?? 0) - users * x * y) ** 2 / (users * x * y)),
    );
    // Eight degrees of freedom: beyond 26.1 in one of a thousand draws.
    expect(chiSquared.reduce((sum, term) => sum + term, 0)).toBeLessThan(26.1);
    expect(Math.abs(draws / users - 0.5)).toBeLessThan(0.01);
  });

  it("takes another key as another draw, and refuses a short one", () => {
    const unit = createUnitHash({ key, experiment: "speed" })("user-1");
    expect(createUnitHash({ key: key.map((byte) => byte + 1), experiment: "speed" })("user-1").id).not.toBe(unit.id);
    expect(() => createUnitHash({ key: key.subarray(1), experiment: "speed" })).toThrow("The key has 15 bytes");
  });

  it("exposes a unit once per epoch, to the arm of that epoch", () => {
    const layouts = [layoutOf(weights(1, 0)), layoutOf(weights(0, 1))];
    const unit = createUnitHash({ key, experiment: "speed" })("user-1");
    const first = expose({ experiment: "speed", layouts: layouts.slice(0, 1), unit, at: 1 });
    const again = expose({ experiment: "speed", layouts: layouts.slice(0, 1), unit, at: 2 });
    const later = expose({ experiment: "speed", layouts, unit, at: 3 });
    expect(first).toEqual({ experiment: "speed", epoch: 0, unit: unit.id, arm: "arm-0", place: unit.place, at: 1 });
    expect(later).toMatchObject({ epoch: 1, arm: "arm-1" });
    expect(exposureKey(again)).toBe(exposureKey(first));
    expect(exposureKey(later)).not.toBe(exposureKey(first));
  });
});
