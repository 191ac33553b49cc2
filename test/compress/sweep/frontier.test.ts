// The frontier of a sweep, and its picture.
import { describe, expect, it } from "vitest";
import { expand } from "../../../compress/sweep/expand.ts";
import { frontier } from "../../../compress/sweep/frontier.ts";
import { plot } from "../../../compress/sweep/plot.ts";

const point = (cost: number, loss: number) => ({ cost, loss });

describe("the frontier", () => {
  it("keeps what no other beats, from the cheapest on", () => {
    const points = [point(5, 1), point(3, 4), point(4, 4), point(1, 9), point(2, 3), point(6, 2)];
    expect(frontier(points)).toEqual([point(1, 9), point(2, 3), point(5, 1)]);
  });

  it("is brute force's, whatever the points are", () => {
    let state = 1;
    const next = () => {
      state = (state * 48271) % 2147483647;
      return state % 12;
    };
    for (let round = 0; round < 200; round++) {
      const points = Array.from({ length: 8 }, () => point(next(), next()));
      const beaten = points.filter((one) =>
        points.some(
          (other) =>
            other.cost <= one.cost && other.loss <= one.loss && (other.cost < one.cost || other.loss < one.loss),
        ),
      );
      const kept = frontier(points);
      expect(kept.some((one) => beaten.includes(one))).toBe(false);
      const distinct = new Set(
        points.filter((one) => !beaten.includes(one)).map(({ cost, loss }) => `${cost} ${loss}`),
      );
      expect(kept).toHaveLength(distinct.size);
    }
  });

  it("of nothing is nothing", () => expect(frontier([])).toEqual([]));
});

describe("a line of the grid", () => {
  it.each([
    ["flap", ["flap"]],
    [
      "gptq --bits 4,3 --block 32,64",
      ["gptq --bits 4 --block 32", "gptq --bits 4 --block 64", "gptq --bits 3 --block 32", "gptq --bits 3 --block 64"],
    ],
    ["franken 0-5,7 --force --id a,b", ["franken 0-5,7 --force --id a", "franken 0-5,7 --force --id b"]],
    ["  ", []],
  ])("%s is %j", (line, commands) => {
    expect(expand(line).map((args) => args.join(" "))).toEqual(commands);
  });
});

describe("the plot", () => {
  const points = [
    { label: "all", family: "unchanged", cost: 96, loss: 30, stderr: 2, onFrontier: true },
    { label: "drop <2>", family: "similarity block", cost: 92, loss: 55, stderr: 4, onFrontier: true },
    { label: "drop 4", family: "similarity block", cost: 94, loss: 5000, onFrontier: false },
  ];
  const svg = plot({ title: "T", subtitle: "S & more", cost: "MB", loss: "perplexity", points });

  it("has a circle for each point within the picture, and a name for those on the frontier", () => {
    const circles = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="5" fill="(\S+)" stroke/g)];
    expect(circles.map(([, , , fill]) => fill === "none")).toEqual([false, false, true]);
    for (const [, cx, cy] of circles) {
      expect(Number(cx)).toBeGreaterThan(76);
      expect(Number(cx)).toBeLessThan(630);
      expect(Number(cy)).toBeGreaterThan(64);
      expect(Number(cy)).toBeLessThan(468);
    }
    expect(svg.match(/class="name"/g)).toHaveLength(2);
    expect(svg).toContain("drop &lt;2&gt;");
  });

  it("puts a lower loss lower, on a logarithmic axis", () => {
    const [first, second, third] = [...svg.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)" r="5" fill="\S+" stroke/g)].map(
      ([, cy]) => Number(cy),
    );
    const ratio = (second! - third!) / (first! - second!);
    expect(ratio).toBeCloseTo(Math.log(5000 / 55) / Math.log(55 / 30), 1);
  });

  it("shows a single point", () => {
    expect(plot({ title: "", subtitle: "", cost: "", loss: "", points: points.slice(0, 1) })).not.toContain("NaN");
  });
});
