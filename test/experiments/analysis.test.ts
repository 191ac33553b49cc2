import { describe, expect, it } from "vitest";
import { mulberry32 } from "../../evaluation/random.ts";
import { analyse, type Results } from "../../src/experiments/analysis.ts";
import { stepsOf } from "../../src/experiments/decide.ts";
import { metricKind, scaleOf } from "../../src/experiments/metrics.ts";
import { reportText } from "../../src/experiments/report.ts";
import { reportSvg } from "../../src/experiments/report-svg.ts";
import type { MetricSpec } from "../../src/experiments/schema.ts";
import type { ClosedUnit, CountedExposure } from "../../src/experiments/units.ts";

const rating: MetricSpec = { metric: "rating", statistic: "mean", margin: 0.2 };
const p90: MetricSpec = { metric: "latency", statistic: { quantile: 0.9 }, margin: 0.3 };
const agreement: MetricSpec = { metric: "agreement", statistic: "mean", margin: 0.3 };
const experiment = {
  id: "drop-ten",
  arms: [{ name: "base" }, { name: "drop" }],
  control: "base",
  primary: rating,
  guardrails: [p90, agreement],
  alpha: 0.05,
};

interface Truth {
  /** Mean rating of the treatment less that of the control. */
  readonly rating: number;
  /** Factor on the treatment's latency. */
  readonly latency: number;
  readonly agreement: number;
}

/** Results on units of a known truth, half in either arm. */
function resultsOf(truth: Truth, { units: count = 1200, splitTo = 0.5, seed = 31 } = {}): Results {
  const random = mulberry32(seed);
  const shares = new Map([
    ["base", 0.5],
    ["drop", 0.5],
  ]);
  const units = Array.from({ length: count }, (_, index): ClosedUnit => {
    const isTreated = random() < splitTo;
    const stars = 0.2 + (isTreated ? truth.rating : 0) + 0.6 * (random() - 0.5);
    const ms = Math.exp(6 + 0.5 * (random() - 0.5)) * (isTreated ? truth.latency : 1);
    return {
      unit: `unit-${index}`,
      arm: isTreated ? "drop" : "base",
      shares,
      closedAt: 1000 * index,
      means: new Map([
        ["rating", scaleOf(rating).toGoodness(stars)],
        ["latency_p90", scaleOf(p90).toGoodness(ms)],
        ["agreement@drop", truth.agreement + 0.2 * (random() - 0.5)],
      ]),
    };
  });
  const exposures = units.map(
    ({ unit, arm, shares, closedAt }): CountedExposure => ({
      experiment: "drop-ten",
      epoch: 0,
      unit,
      arm,
      shares,
      place: 0,
      at: closedAt,
    }),
  );
  return analyse({ experiment, epoch: 0, exposures, units });
}

const both = { on_verdict: "both", promote_when: "superior" } as const;

describe("analysis", () => {
  const good = resultsOf({ rating: 0.3, latency: 0.8, agreement: 0.85 });
  const bad = resultsOf({ rating: 0.3, latency: 1, agreement: 0.2 });

  it("finds what is better superior, and what is worse by less than the margin non-inferior", () => {
    const [stars, times, tokens] = good.metrics;
    expect(good.metrics.map(({ metric, verdict }) => [metric, verdict])).toEqual([
      ["rating", "superior"],
      ["latency_p90", "superior"],
      ["agreement", "non-inferior"],
    ]);
    const last = stars?.series.at(-1);
    expect(last?.lower).toBeGreaterThan(0);
    expect(last?.lower).toBeLessThan(0.3);
    expect(last?.upper).toBeGreaterThan(0.3);
    expect(stars?.treatment_value).toBeCloseTo(0.5, 1);
    expect(stars?.alpha).toBeCloseTo(0.05 / 3, 12);
    // 20 % faster: the logarithm of 1 / 0.8.
    expect(times?.series.at(-1)?.estimate).toBeCloseTo(0.22, 1);
    expect(times?.control_value).toBeCloseTo(Math.exp(6.2), -1);
    expect(tokens?.series.at(-1)?.estimate).toBeCloseTo(-0.15, 1);
    expect(tokens?.control_value).toBe(1);
    expect(good.metrics.every(({ units_needed }) => units_needed === 0)).toBe(true);
  });

  it("says nothing of a quantile before its least sample, and about how many units are missing", () => {
    const [, times] = resultsOf({ rating: 0, latency: 1, agreement: 0.85 }, { units: 100 }).metrics;
    expect(times?.verdict).toBe("undecided");
    expect(times?.series.at(-1)).toMatchObject({ lower: null, upper: null });
    expect(times?.units_needed).toBeGreaterThan(30);
  });

  it("gives a series that only narrows and survives JSON", () => {
    const series = good.metrics[0]!.series;
    series.slice(1).forEach((point, index) => {
      expect(point.units).toBeGreaterThan(series[index]!.units);
      expect(point.lower ?? -9).toBeGreaterThanOrEqual(series[index]!.lower ?? -9);
    });
    expect(JSON.parse(JSON.stringify(good))).toEqual(good);
  });

  it("knows nothing without units", () => {
    const nothing = resultsOf({ rating: 0, latency: 1, agreement: 1 }, { units: 0 });
    expect(nothing.metrics[0]).toMatchObject({
      verdict: "undecided",
      series: [],
      treatment_value: null,
      units_needed: null,
    });
    expect(reportText(nothing)).toContain("no telling how many more units");
    expect(reportSvg(nothing)).toContain("not measured yet");
  });

  it("promotes a winner and stops a loser, each with its evidence, as asked", () => {
    expect(stepsOf(good, both)).toMatchObject([{ action: "promote", arm: "drop" }]);
    expect(stepsOf(good, { ...both, on_verdict: "stop" })).toEqual([]);
    expect(stepsOf(bad, both)).toMatchObject([
      { action: "stop", arm: "drop", because: [{ metric: "agreement", verdict: "inferior" }] },
    ]);
    expect(stepsOf(bad, { ...both, on_verdict: "promote" })).toEqual([]);
    expect(stepsOf(bad, { ...both, on_verdict: "none" })).toEqual([]);
  });

  it("takes no step while the split is broken", () => {
    const broken = resultsOf({ rating: 0.3, latency: 0.8, agreement: 0.85 }, { splitTo: 0.65 });
    expect(broken.sample_ratio.alarm).toBe(true);
    expect(good.sample_ratio.alarm).toBe(false);
    expect(stepsOf(broken, both)).toEqual([]);
    expect(reportText(broken)).toContain("The split is broken");
  });
});

describe("report", () => {
  const results = resultsOf({ rating: 0.05, latency: 0.8, agreement: 0.85 }, { units: 300 });

  it("is a table that a person can read", () => {
    const text = reportText(results);
    const lines = text.split("\n");
    expect(lines[0]).toBe("Experiment drop-ten, epoch 0");
    expect(text).toMatch(
      /^rating \(primary\) +drop 0\.\d+ +base 0\.\d+ +[+-][\d.]+ \[[+-][\d.]+, \+[\d.]+\] +0\.2 +300 +\S/m,
    );
    expect(text).toMatch(/^latency_p90 .* log /m);
    expect(text).toMatchInlineSnapshot(`
      "Experiment drop-ten, epoch 0
      Units exposed: base 148 (expected 150), drop 152 (expected 150)
      The split is as the weights say (p = 0.876).

      metric            treatment   control     difference (limits)          margin  units  verdict
      ----------------  ----------  ----------  ---------------------------  ------  -----  ------------
      rating (primary)  drop 0.244  base 0.217  +0.027 [-0.0545, +0.102]     0.2     300    non-inferior
      latency_p90       drop 387    base 494    +0.244 [+0.156, +0.335] log  0.3     300    superior
      agreement         drop 0.849  base 1      -0.151 [-0.172, -0.139]      0.3     300    non-inferior

      Differences are treatment minus control, and positive is better; those marked log are of natural logarithms: 0.1 is about 10 %.
      All limits hold together and at all times: looking often, or stopping when they please, does not make them wrong more often.
      "
    `);
  });

  it("names what is shown and never judged", () => {
    const title = "KL divergence from the control";
    const shown = [{ title, unit: "nats per token", treatment: "drop", units: 12, value: 0.4567 }];
    expect(reportText({ ...results, shown })).toContain(
      "\n\nShown, never judged, as it has no bounds:\n  drop: KL divergence from the control 0.457 (nats per token; 12 units)\n\n",
    );
  });

  it("is an SVG with a panel, a title and a description per comparison, in light and dark", () => {
    const svg = reportSvg({ ...results, experiment: 'a<b>&"c' });
    expect(svg.match(/<polygon class="band"/g)).toHaveLength(3);
    expect(svg).toContain("<title id=");
    expect(svg).toMatch(/<desc[^>]*>rating \(rating\), drop against base: the difference is between/);
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).toContain("units observed");
    expect(svg).not.toContain("<b>");
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe("scale", () => {
  it("turns values into goodness and back, clipping what lies beyond the bounds", () => {
    const times = scaleOf({ metric: "latency" });
    expect(times.toGoodness(100)).toBe(1);
    expect(times.toGoodness(1e9)).toBe(0);
    expect(times.toValue(times.toGoodness(500))).toBeCloseTo(500, 9);
    expect(times.width).toBeCloseTo(Math.log(600), 12);
    expect(scaleOf({ metric: "rating" }).toGoodness(0)).toBe(0.5);
    expect(scaleOf({ metric: "length", better: "higher" }).toGoodness(4096)).toBe(1);
    expect(metricKind("kl").better).toBeUndefined();
  });
});
