import { describe, expect, it } from "vitest";
import type { Exposure } from "../../src/experiments/assign.ts";
import { layoutOf, PLACES } from "../../src/experiments/layout.ts";
import { closedUnits, countedExposures, type Outcome } from "../../src/experiments/units.ts";

const layouts = [
  layoutOf([
    { name: "a", weight: 0.5 },
    { name: "b", weight: 0.5 },
  ]),
];
layouts.push(
  layoutOf(
    [
      { name: "a", weight: 0.9 },
      { name: "b", weight: 0.1 },
    ],
    layouts[0],
  ),
);

/** Stays in a; moves from b to a; stays in b. */
const PLACE = { stays: 0.2 * PLACES, moves: 0.8 * PLACES, keeps: 0.55 * PLACES };

const exposure = (unit: string, epoch: number, arm: string, place: number, at: number): Exposure => ({
  experiment: "x",
  epoch,
  unit,
  arm,
  place,
  at,
});

const outcome = (unit: string, value: number, begunAt: number, at = begunAt + 1): Outcome => ({
  unit,
  metric: "rating",
  value,
  begunAt,
  at,
});

describe("counted exposures", () => {
  const exposures = [
    exposure("late", 1, "a", PLACE.moves, 30),
    exposure("stays", 1, "a", PLACE.stays, 20),
    exposure("stays", 0, "a", PLACE.stays, 1),
    exposure("moves", 0, "b", PLACE.moves, 2),
    exposure("moves", 1, "a", PLACE.moves, 21),
    exposure("keeps", 0, "b", PLACE.keeps, 3),
    exposure("keeps", 1, "b", PLACE.keeps, 22),
    exposure("keeps", 1, "b", PLACE.keeps, 25),
  ];

  it("come in order of time, each unit once, without those that moved", () => {
    expect(countedExposures(exposures, layouts, 1).map(({ unit, at }) => [unit, at])).toEqual([
      ["stays", 20],
      ["keeps", 22],
      ["late", 30],
    ]);
    expect(countedExposures(exposures, layouts, 0).map(({ unit }) => unit)).toEqual(["stays", "moves", "keeps"]);
  });

  it("have the weights as shares where the unit is new, and what staying makes of them where it is not", () => {
    const [stays, , late] = countedExposures(exposures, layouts, 1);
    expect(late?.shares.get("b")).toBe(0.1);
    expect(stays?.shares.get("b")).toBeCloseTo(1 / 6, 12);
  });
});

describe("closed units", () => {
  const exposures = countedExposures(
    [exposure("one", 0, "a", PLACE.stays, 100), exposure("two", 0, "b", PLACE.moves, 110)],
    layouts,
    0,
  );
  const outcomes = [
    outcome("one", 1, 100),
    outcome("one", 0, 150),
    outcome("one", 0.2, 200, 220),
    outcome("one", 0, 201),
    outcome("one", 0, 190, 231),
    outcome("two", 0.5, 110),
    outcome("unknown", 1, 110),
  ];
  const options = { windowMs: 100, settleMs: 30 };

  it("are one mean each of what began in the window and was known in time, in order of exposure", () => {
    const units = closedUnits(exposures, outcomes, { ...options, now: 240 });
    expect(units.map(({ unit, arm, closedAt }) => [unit, arm, closedAt])).toEqual([
      ["one", "a", 230],
      ["two", "b", 240],
    ]);
    expect(units[0]?.means.get("rating")).toBeCloseTo(0.4, 12);
    expect(units[1]?.means.get("rating")).toBe(0.5);
  });

  it("do not count before their time, however many outcomes there are, and never change after", () => {
    expect(closedUnits(exposures, outcomes, { ...options, now: 229 })).toEqual([]);
    const first = closedUnits(exposures, outcomes, { ...options, now: 230 });
    expect(first.map(({ unit }) => unit)).toEqual(["one"]);
    const later = closedUnits(exposures, [...outcomes, outcome("one", 1, 235), outcome("one", 1, 180, 240)], {
      ...options,
      now: 1000,
    });
    expect(later[0]).toEqual(first[0]);
  });

  it("leave out a unit whose window the epoch's end cut short", () => {
    const units = closedUnits(exposures, outcomes, { ...options, now: 1000, endedAt: 205 });
    expect(units.map(({ unit }) => unit)).toEqual(["one"]);
  });

  it("count the first request alone with no window, and units without outcomes as such", () => {
    const units = closedUnits(exposures, outcomes.slice(0, 2), { windowMs: 0, settleMs: 30, now: 1000 });
    expect(units[0]?.means.get("rating")).toBe(1);
    expect(units[1]?.means.size).toBe(0);
  });
});
